package nodeagent

import (
	"testing"

	"github.com/go-logr/logr/testr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
)

func movedDisk() *v1alpha1.Resource {
	r := &v1alpha1.Resource{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "disk", UID: "r1"},
		Spec:       v1alpha1.ResourceSpec{GroupName: "new", Type: v1alpha1.TypeLoopbackDisk},
	}
	r.Status = v1alpha1.ResourceStatus{State: v1alpha1.ResourceOnline, Node: "node-a", GroupName: "old", Epoch: 5}
	return r
}

// TestMovedIsNotStarted: the owner of the new group neither starts a resource nor speaks of it before the old group has let go.
func TestMovedIsNotStarted(t *testing.T) {
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "new", UID: "g2"}}
	has := func(r *v1alpha1.Resource, epoch int64) bool {
		t.Helper()
		around := &surroundings{cluster: &v1alpha1.Cluster{}, node: &v1alpha1.Node{}, resources: []*v1alpha1.Resource{r}}
		d, err := desiredOf(g, &v1alpha1.Assignment{Node: "node-b", NodeID: 2, Generation: 1, Epoch: epoch}, around)
		if err != nil {
			t.Fatal(err)
		}
		return len(d.Resources) == 1
	}
	r := movedDisk()
	if has(r, 9) {
		t.Error("it is started while the old group has it")
	}
	r.Status.State, r.Status.Node = v1alpha1.ResourceUnknown, ""
	if has(r, 9) {
		t.Error("it is started while nobody knows whether the old group has it")
	}
	r.Status.State = v1alpha1.ResourceOffline
	if has(r, 5) {
		t.Error("it is started at an epoch that is not above the old group's")
	}
	if !has(r, 9) {
		t.Error("it is not started")
	}
}

// TestMovedIsLetGo: the old owner says that it has taken the resource offline when its monitor has nothing of it any more, and not before;
// also an agent that was restarted in between.
func TestMovedIsLetGo(t *testing.T) {
	old := resourcetype.Identity{UID: "g1", Namespace: "demo", Name: "old"}
	with := lifecycle.Report{Running: 5, Resources: []lifecycle.ResourceReport{{UID: "r1", Name: "disk", State: model.ResourceOfflinePending}}}
	for name, tc := range map[string]struct {
		reports []monitor.GroupReport
		change  func(*v1alpha1.Resource)
		want    v1alpha1.ResourceState
	}{
		"nothing is known yet":        {nil, nil, v1alpha1.ResourceOnline},
		"it is being stopped":         {[]monitor.GroupReport{{Group: old, Report: with}}, nil, v1alpha1.ResourceOfflinePending},
		"it is gone":                  {[]monitor.GroupReport{{Group: old, Report: with}, {Group: old, Report: lifecycle.Report{Running: 5}}}, nil, v1alpha1.ResourceOffline},
		"it is gone, agent restarted": {[]monitor.GroupReport{{Group: old, Report: lifecycle.Report{Running: 5}}}, nil, v1alpha1.ResourceOffline},
		"an older epoch":              {[]monitor.GroupReport{{Group: old, Report: lifecycle.Report{Running: 4}}}, nil, v1alpha1.ResourceOnline},
		"another group's report": {[]monitor.GroupReport{
			{Group: resourcetype.Identity{UID: "g3", Namespace: "demo", Name: "third"}, Report: lifecycle.Report{Running: 9}},
		}, nil, v1alpha1.ResourceOnline},
		"another node's": {
			[]monitor.GroupReport{{Group: old, Report: lifecycle.Report{Running: 5}}}, func(r *v1alpha1.Resource) { r.Status.Node = "node-b" }, v1alpha1.ResourceOnline,
		},
		"not moved": {
			[]monitor.GroupReport{{Group: old, Report: lifecycle.Report{Running: 5}}}, func(r *v1alpha1.Resource) { r.Spec.GroupName = "old" }, v1alpha1.ResourceOnline,
		},
	} {
		t.Run(name, func(t *testing.T) {
			scheme, err := newScheme()
			if err != nil {
				t.Fatal(err)
			}
			disk := movedDisk()
			if tc.change != nil {
				tc.change(disk)
			}
			api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(disk).WithStatusSubresource(&v1alpha1.Resource{}).Build()
			p := &publisher{
				log: testr.New(t), nodeName: "node-a", writer: api, world: func() *world { return &world{cached: api, direct: api} },
				reached: func() bool { return true }, applied: func(string) (applied, bool) { return applied{}, false },
			}
			p.init()
			for _, report := range tc.reports {
				p.observed(report)
			}
			p.everything()
			if err := p.writeResource(t.Context(), client.ObjectKeyFromObject(disk)); err != nil {
				t.Fatal(err)
			}
			var got v1alpha1.Resource
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(disk), &got); err != nil {
				t.Fatal(err)
			}
			if got.Status.State != tc.want || got.Status.Epoch != 5 || got.Status.GroupName != "old" {
				t.Errorf("the status is %s of group %s at epoch %d, want %s", got.Status.State, got.Status.GroupName, got.Status.Epoch, tc.want)
			}
		})
	}
}
