package nodeagent

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/snapshot"
)

// TestPublisherShared: of a resource that several nodes have at once an agent writes its own entry, under a field manager of its own,
// and nothing when nothing has changed; once the group has left, an entry that the manager took away stays away.
func TestPublisherShared(t *testing.T) {
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	group := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web", UID: "g1"}}
	group.Spec.Mode = v1alpha1.GroupModeLoadBalanced
	app := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "app", UID: "r1"}}
	app.Spec.GroupName = "web"
	app.Status.State, app.Status.Message = v1alpha1.ResourceOnline, "Online on node-b" // the manager's
	var managers []string
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(group, app).WithStatusSubresource(&v1alpha1.Resource{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceApply: func(
			ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption,
		) error {
			o := client.SubResourceApplyOptions{}
			o.ApplyOpts(opts)
			managers = append(managers, o.FieldManager)
			return c.SubResource(sub).Apply(ctx, obj, opts...)
		}}).Build()
	p := &publisher{
		log: testr.New(t), nodeName: "node-a", writer: api, world: func() *world { return &world{cached: api, direct: api} },
		reached: func() bool { return true }, wall: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC),
		applied: func(string) (applied, bool) { return applied{generations: map[string]int64{"r1": 4}}, true },
	}
	p.init()
	report := monitor.GroupReport{Group: resourcetype.Identity{UID: "g1", Namespace: "demo", Name: "web"}, Report: lifecycle.Report{
		Running: 5, Resources: []lifecycle.ResourceReport{{UID: "r1", Name: "app", State: model.ResourceOnline, Since: time.Second}},
	}}
	write := func(what string, want int) *v1alpha1.Resource {
		t.Helper()
		managers = nil
		p.observed(report)
		for range 2 {
			if err := p.writeResource(t.Context(), client.ObjectKeyFromObject(app)); err != nil {
				t.Fatal(err)
			}
		}
		if len(managers) != want {
			t.Errorf("%s: %d writes, want %d", what, len(managers), want)
		}
		var got v1alpha1.Resource
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(app), &got); err != nil {
			t.Fatal(err)
		}
		return &got
	}
	got := write("the group runs", 1)
	if len(managers) > 0 && managers[0] != "quorate-agent-member-node-a" {
		t.Errorf("written by %v", managers)
	}
	m := snapshot.OnNode(got, "node-a")
	if m == nil || m.Epoch != 5 || m.State != v1alpha1.ResourceOnline || m.ObservedGeneration != 4 || m.LastTransitionTime == nil {
		t.Errorf("entry %+v", m)
	}
	if got.Status.Node != "" || got.Status.Epoch != 0 || got.Status.Message != "Online on node-b" {
		t.Errorf("what is the manager's was changed: %+v", got.Status)
	}
	report.Running, report.Released = 0, 6
	report.Resources = []lifecycle.ResourceReport{{UID: "r1", Name: "app", State: model.ResourceOffline, Since: time.Minute}}
	got = write("the group has left", 1)
	if m := snapshot.OnNode(got, "node-a"); m == nil || m.Epoch != 5 || m.State != v1alpha1.ResourceOffline {
		t.Errorf("entry %+v", m)
	}
	got.Status.Members = nil
	if err := api.Status().Update(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if m := snapshot.OnNode(write("the manager took the entry away", 0), "node-a"); m != nil {
		t.Errorf("the entry %+v is back", m)
	}
	clear(p.written)
	write("after a restart", 0)
}
