package api

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// TestClearForeign: a foreign reservation is cleared by who may, with a reason, in one's own name, and by naming the keys.
func TestClearForeign(t *testing.T) {
	disk := merge(t, base(t, "Resource"), `{metadata: {name: disk-foreign}}`)
	create(t, admin, disk)
	ann := mustClientAs(t, "ann", "quorate:admins")
	editor := mustClientAs(t, "edith", "system:authenticated")
	create(t, admin,
		object(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: resource-editor},
  rules: [{apiGroups: [quorate.io], resources: [resources], verbs: [get, create, update, patch]}]}`),
		object(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: resource-editor},
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: resource-editor}, subjects: [{kind: User, name: edith, apiGroup: rbac.authorization.k8s.io}]}`))
	const annotation = "quorate.io/clear-foreign-reservation"
	patch := func(value, reason, by string) string {
		return `{metadata: {annotations: {` + annotation + `: ` + value + `, ` + annotation + `-reason: ` + reason + `, ` + annotation + `-by: ` + by + `}}}`
	}
	for _, step := range []struct {
		name string
		change
	}{
		{"without the verb", change{by: editor, patch: patch(`"0xfeed"`, "gone", "edith"), want: []string{"edith", "needs the verb clear-foreign-reservation on Resource disk-foreign"}}},
		{"other annotations need none", change{by: editor, patch: `{metadata: {annotations: {mine: x}}}`}},
		{"no key", change{by: ann, patch: patch("all", "gone", "ann"), want: []string{"KEY[,KEY...]"}}},
		{"a key that is too long", change{by: ann, patch: patch(`"0x12345678901234567"`, "gone", "ann"), want: []string{"KEY[,KEY...]"}}},
		{"no reason", change{by: ann, patch: patch(`"0xfeed"`, `" "`, "ann"), want: []string{"how is it known"}}},
		{"in another's name", change{by: ann, patch: patch(`"0xfeed"`, "gone", "bob"), want: []string{"your own user name: ann"}}},
		{"as it should be", change{by: ann, patch: patch(`"0xfeed,0x00000001234567/incident-17"`, "gone", "ann")}},
		{"a reason that another changes", change{by: editor, patch: `{metadata: {annotations: {` + annotation + `-reason: other}}}`, want: []string{"needs the verb"}}},
		{"the manager takes it away", change{by: manager(t), patch: patch("null", "null", "null")}},
		{"the manager may not ask", change{by: manager(t), patch: patch(`"0xfeed"`, "x", v1alpha1.ManagerUser), want: []string{"needs the verb"}}},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.object = disk
			step.try(t)
		})
	}
	t.Run("at creation", func(t *testing.T) {
		r := merge(t, merge(t, base(t, "Resource"), `{metadata: {name: disk-new}}`), patch(`"0xfeed"`, "gone", "edith"))
		wantError(t, editor.Create(t.Context(), r, client.DryRunAll), "needs the verb clear-foreign-reservation")
	})
}
