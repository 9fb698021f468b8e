package nodeagent

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
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
)

// TestPublisher: what has changed is written once, and nothing is written when nothing has.
func TestPublisher(t *testing.T) {
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}}
	disk := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "disk", UID: "r1"}}
	disk.Status.Conditions = accepted(1, metav1.ConditionTrue)
	writes := 0
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(node, disk).
		WithStatusSubresource(&v1alpha1.Node{}, &v1alpha1.Resource{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceApply: func(
			ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption,
		) error {
			writes++
			return c.SubResource(sub).Apply(ctx, obj, opts...)
		}}).Build()
	s := reporting(7)
	o := &observed{version: "v1", standing: s}
	p := &publisher{
		log: testr.New(t), nodeName: "node-a", writer: api, world: func() *world { return &world{cached: api, direct: api} },
		reached: func() bool { return true }, observe: func() *observed { c := *o; return &c },
		applied: func(string) (applied, bool) { return applied{generations: map[string]int64{"r1": 4}}, true },
		wall:    time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC),
	}
	p.init()
	write := func(what string, want int) {
		t.Helper()
		writes = 0
		for range 2 {
			if err := p.writeNode(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.writeResource(t.Context(), client.ObjectKeyFromObject(disk)); err != nil {
				t.Fatal(err)
			}
		}
		if writes != want {
			t.Errorf("%s: %d writes, want %d", what, writes, want)
		}
	}
	write("the first time", 1)
	report := monitor.GroupReport{Group: resourcetype.Identity{UID: "g1", Namespace: "demo", Name: "shop"}, Report: lifecycle.Report{
		Running: 5, Resources: []lifecycle.ResourceReport{{UID: "r1", Name: "disk", State: model.ResourceOnline, Since: time.Second}},
	}}
	p.observed(report)
	o.reports = []monitor.GroupReport{report}
	write("a group runs", 2)
	o.problems = []v1alpha1.AgentProblem{{Reason: "MissingTool"}}
	write("what nobody decides from waits", 0)
	p.nodeRest = time.Now().Add(time.Hour)
	o.reports = append(o.reports, monitor.GroupReport{Group: resourcetype.Identity{UID: "g2", Namespace: "demo", Name: "web"}, Report: lifecycle.Report{Running: 6}})
	write("what is decided from rests after a write that took long", 0)
	s.View.ID.Number = 8
	write("a new view is written at once, with what waited", 1)

	var got v1alpha1.Node
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(node), &got); err != nil {
		t.Fatal(err)
	}
	if a := got.Status.Agent; a == nil || a.View.ID.Number != 8 || len(a.Problems) != 1 || len(a.Groups) != 2 {
		t.Errorf("status.agent: %+v", a)
	}
	var resource v1alpha1.Resource
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(disk), &resource); err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.ResourceStatus{
		ObservedGeneration: 4, State: v1alpha1.ResourceOnline, Node: "node-a", GroupName: "shop", Epoch: 5, Conditions: disk.Status.Conditions,
		LastTransitionTime: &metav1.MicroTime{Time: p.wall.Add(time.Second)},
	}
	if diff := cmp.Diff(want, resource.Status); diff != "" {
		t.Errorf("status of the resource (-want +got):\n%s", diff)
	}

	// Another agent process finds everything as it should be.
	p.lastNode = nil
	clear(p.written)
	write("after a restart", 0)
}

// TestRestAfter: small clusters never rest, and large ones not for long.
func TestRestAfter(t *testing.T) {
	began := time.Now()
	for took, want := range map[time.Duration]time.Duration{
		49 * time.Millisecond: 0, 50 * time.Millisecond: 50 * time.Millisecond, 3 * time.Second: 500 * time.Millisecond,
	} {
		if ended := began.Add(took); restAfter(began, ended).Sub(ended) != want {
			t.Errorf("after %s it rests for %s, want %s", took, restAfter(began, ended).Sub(ended), want)
		}
	}
}

// TestPublisherFlapping: what comes and goes for hours, such as the state of a link, is written seldom, and a new view still at once.
func TestPublisherFlapping(t *testing.T) {
	p := &publisher{}
	p.init()
	now, writes := time.Now(), 0
	for at := time.Duration(0); at < time.Hour; at += time.Second {
		reserved := p.lazy.ReserveN(now.Add(at), 1)
		if reserved.DelayFrom(now.Add(at)) > 0 {
			reserved.CancelAt(now.Add(at))
			continue
		}
		writes++
	}
	if most := lazyBurst + int(time.Hour/lazyInterval); writes > most || writes < lazyBurst {
		t.Errorf("%d writes in an hour of flapping, want %d at most", writes, most)
	}
	p.init()
	p.lastNode = agentStatus(&observed{standing: reporting(7)})
	flapped := agentStatus(&observed{standing: reporting(7), interfaces: []v1alpha1.AgentInterface{{Network: "hb", State: v1alpha1.LinkDown}}})
	p.lazySince = time.Now().Add(-time.Hour)
	for range lazyBurst {
		if wait := p.patience(flapped, nil); wait > 0 {
			t.Fatalf("the first changes wait for %s more", wait)
		}
	}
	if wait := p.patience(flapped, nil); wait < lazyInterval/2 {
		t.Errorf("after %d changes the next one waits for %s, want up to %s", lazyBurst, wait, lazyInterval)
	}
	if wait := p.patience(agentStatus(&observed{standing: reporting(8)}), nil); wait > 0 {
		t.Errorf("a new view waits for %s", wait)
	}
}
