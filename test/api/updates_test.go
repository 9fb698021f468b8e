package api

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// patchYAML sends a JSON merge patch that is written in YAML.
func patchYAML(t *testing.T, text string) client.Patch {
	t.Helper()
	p, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return client.RawPatch(types.MergePatchType, p)
}

// change is a patch of an object that is there, by somebody.
type change struct {
	by     client.Client
	object client.Object
	patch  string
	status bool
	// want are parts of the refusal; none when the change is accepted.
	want []string
}

// try sends the change and checks the answer.
func (c change) try(t *testing.T) {
	t.Helper()
	o := c.object.DeepCopyObject().(client.Object)
	var err error
	if c.status {
		err = c.by.Status().Patch(t.Context(), o, patchYAML(t, c.patch))
	} else {
		err = c.by.Patch(t.Context(), o, patchYAML(t, c.patch))
	}
	if len(c.want) > 0 {
		wantError(t, err, c.want...)
	} else if err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestImmutableFields(t *testing.T) {
	disk := merge(t, base(t, "Resource"), `{metadata: {name: d}, spec: {type: LoopbackDisk, ipAddress: null, loopbackDisk: {file: /array/1, size: 1Gi, mountPath: /srv/x}}}`)
	physical := merge(t, base(t, "Resource"), `{metadata: {name: p}, spec: {type: PhysicalDisk, ipAddress: null, physicalDisk: {device: /dev/sda}}}`)
	witness := merge(t, base(t, "QuorumConfig"), `{spec: {mode: DiskOnly, witness: {disk: {device: /dev/sda}}}}`)
	node, group := base(t, "Node"), base(t, "ResourceGroup")
	create(t, admin, disk, physical, witness, node, group)
	cases := map[string]struct {
		object *unstructured.Unstructured
		patch  string
		want   []string
	}{
		"node cluster":    {node, `{spec: {clusterName: d}}`, []string{"spec.clusterName", "immutable"}},
		"group cluster":   {group, `{spec: {clusterName: d}}`, []string{"spec.clusterName", "immutable"}},
		"quorum cluster":  {witness, `{spec: {clusterName: d}}`, []string{"spec.clusterName", "immutable"}},
		"witness device":  {witness, `{spec: {witness: {disk: {device: /dev/sdb}}}}`, nil},
		"resource type":   {disk, `{spec: {type: OCF, loopbackDisk: null, ocf: {provider: a, agent: b}}}`, []string{"spec.type", "immutable"}},
		"backing file":    {disk, `{spec: {loopbackDisk: {file: /array/2}}}`, []string{"spec.loopbackDisk.file", "immutable"}},
		"physical device": {physical, `{spec: {physicalDisk: {device: /dev/sdb}}}`, []string{"spec.physicalDisk.device", "immutable"}},
		"larger file":     {disk, `{spec: {loopbackDisk: {size: 2048Mi}}}`, nil},
		"smaller file":    {disk, `{spec: {loopbackDisk: {size: 1023Mi}}}`, []string{"spec.loopbackDisk.size", "never falls"}},
		"resize policy":   {disk, `{spec: {loopbackDisk: {resize: Shrink}}}`, []string{"spec.loopbackDisk.resize", "Grow"}},
		"mount path":      {disk, `{spec: {loopbackDisk: {mountPath: /srv/y}}}`, nil},
		"other group":     {disk, `{spec: {groupName: other}}`, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			change{by: admin, object: tc.object, patch: tc.patch, want: tc.want}.try(t)
		})
	}
}

// TestStatusNeverFalls walks through statuses in order: what only grows must be refused when it falls (S5).
func TestStatusNeverFalls(t *testing.T) {
	resource, group, cluster, node := base(t, "Resource"), base(t, "ResourceGroup"), base(t, "Cluster"), base(t, "Node")
	create(t, admin, resource, group, cluster, node)
	steps := []struct {
		object *unstructured.Unstructured
		patch  string
		want   []string
	}{
		{resource, `{status: {state: Online, node: a, epoch: 5}}`, nil},
		{resource, `{status: {epoch: 4}}`, []string{"status.epoch", "never falls"}},
		{resource, `{status: {epoch: null}}`, []string{"status.epoch", "never falls"}},
		{resource, `{status: {epoch: 268435456}}`, []string{"status.epoch"}},
		{resource, `{status: {state: Offline, epoch: 6}}`, nil},

		{group, `{status: {assignment: {node: a, nodeID: 1, generation: 1, epoch: 7}}}`, nil},
		{group, `{status: {assignment: {epoch: 6}}}`, []string{"status.assignment.epoch"}},
		{group, `{status: {assignment: {node: b, nodeID: 2}}}`, []string{"status.assignment.epoch", "one owner"}},
		{group, `{status: {assignment: {generation: 2}}}`, []string{"status.assignment.epoch", "one owner"}},
		{group, `{status: {assignment: {unproven: [{node: c}]}}}`, nil},
		{group, `{status: {assignment: null}}`, []string{"status.assignment", "never removed"}},
		{group, `{status: {assignment: {node: null, nodeID: null, epoch: 8}}}`, nil},

		{cluster, `{status: {clusterID: 0123456789abcdeX}}`, []string{"status.clusterID"}},
		{cluster, `{status: {clusterID: 0123456789abcdef, lastNodeID: 3}}`, nil},
		{cluster, `{status: {clusterID: 0123456789abcdee}}`, []string{"clusterID never changes"}},
		{cluster, `{status: {clusterID: null}}`, []string{"clusterID never changes"}},
		{cluster, `{status: {lastNodeID: 2}}`, []string{"lastNodeID never falls"}},

		{node, `{status: {id: 3}}`, nil},
		{node, `{status: {id: 4}}`, []string{"id never changes"}},
	}
	for _, tc := range steps {
		change{by: admin, object: tc.object, patch: tc.patch, status: true, want: tc.want}.try(t)
	}
}
