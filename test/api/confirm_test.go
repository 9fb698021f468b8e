package api

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// TestConfirmOff: that a host is off is said by who may, with a reason, and in one's own name.
func TestConfirmOff(t *testing.T) {
	node := merge(t, base(t, "Node"), `{metadata: {name: node-off}}`)
	create(t, admin, node)
	ann := mustClientAs(t, "ann", "quorate:admins")
	editor := mustClientAs(t, "eve", "system:authenticated")
	allow(t, "eve")
	patch := func(value, reason, by string) string {
		return `{metadata: {annotations: {quorate.io/confirm-off: ` + value + `, quorate.io/confirm-off-reason: ` + reason + `, quorate.io/confirm-off-by: ` + by + `}}}`
	}
	away := `{metadata: {annotations: {quorate.io/confirm-off: null, quorate.io/confirm-off-reason: null, quorate.io/confirm-off-by: null}}}`
	steps := []struct {
		name string
		change
	}{
		{"without the verb", change{by: editor, patch: patch(`"3"`, "unplugged", "eve"), want: []string{"eve", "needs the verb confirm-off on Node node-off"}}},
		{"other annotations need none", change{by: editor, patch: `{metadata: {annotations: {mine: x}}}`}},
		{"no generation", change{by: ann, patch: patch("last", "unplugged", "ann"), want: []string{"GENERATION or GENERATION/TOKEN"}}},
		{"generation 0", change{by: ann, patch: patch(`"0"`, "unplugged", "ann"), want: []string{"GENERATION or GENERATION/TOKEN"}}},
		{"no reason", change{by: ann, patch: patch(`"3"`, `" "`, "ann"), want: []string{"how is it known"}}},
		{"in another's name", change{by: ann, patch: patch(`"3"`, "unplugged", "bob"), want: []string{"your own user name: ann"}}},
		{"as it should be", change{by: ann, patch: patch("3/incident-17", "unplugged", "ann")}},
		{"a reason that another changes", change{by: editor, patch: `{metadata: {annotations: {quorate.io/confirm-off-reason: other}}}`, want: []string{"needs the verb"}}},
		{"other changes while it stands", change{by: editor, patch: `{metadata: {annotations: {mine: again}}}`}},
		{"the manager takes it away", change{by: manager(t), patch: away}},
		{"the manager may not confirm", change{by: manager(t), patch: patch(`"4"`, "x", v1alpha1.ManagerUser), want: []string{"needs the verb"}}},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			step.object = node
			step.try(t)
		})
	}
	t.Run("at creation", func(t *testing.T) {
		n := merge(t, merge(t, base(t, "Node"), `{metadata: {name: node-new}}`), patch(`"3"`, "unplugged", "eve"))
		wantError(t, editor.Create(t.Context(), n, client.DryRunAll), "needs the verb confirm-off")
	})
}

// allow lets a user write Nodes, without the verb confirm-off.
func allow(t *testing.T, user string) {
	t.Helper()
	create(t, admin,
		object(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: node-editor},
  rules: [{apiGroups: [quorate.io], resources: [nodes], verbs: [get, create, update, patch]}]}`),
		object(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: node-editor},
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: node-editor}, subjects: [{kind: User, name: `+user+`, apiGroup: rbac.authorization.k8s.io}]}`))
}
