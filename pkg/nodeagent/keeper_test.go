package nodeagent

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

// fakeMonitor writes down what it is told.
type fakeMonitor struct {
	calls     []string
	views     []lifecycle.View
	reports   []monitor.GroupReport
	leftovers []monitor.Leftover
	refuse    error
	// deadline is what StopAll was called with, stuck what it returns; stopping is called in it.
	deadline time.Duration
	stuck    []monitor.Leftover
	stopping func()
}

func (m *fakeMonitor) note(format string, args ...any) {
	m.calls = append(m.calls, fmt.Sprintf(format, args...))
}

func (m *fakeMonitor) SetIdentity(node model.NodeID, generation model.Generation, _ string) error {
	m.note("identity %d.%d", node, generation)
	return nil
}

func (m *fakeMonitor) Adopt() ([]resourcetype.Identity, error) { m.note("adopt"); return nil, nil }

func (m *fakeMonitor) CleanUp(context.Context) []monitor.Leftover {
	m.note("clean up")
	return m.leftovers
}

func (m *fakeMonitor) Apply(d monitor.GroupDesired) error {
	m.note("apply %s run=%v epoch=%d resources=%d frozen=%v", d.Group.UID, d.Run, d.Epoch, len(d.Resources), d.Frozen)
	return m.refuse
}

func (m *fakeMonitor) Forget(uid string) { m.note("forget %s", uid) }
func (m *fakeMonitor) ViewInstalled(v lifecycle.View) {
	m.note("view %s", v.ID)
	m.views = append(m.views, v)
}
func (m *fakeMonitor) ViewLost()                      { m.note("view lost") }
func (m *fakeMonitor) SetFencing(lifecycle.Fencing)   {}
func (m *fakeMonitor) Reports() []monitor.GroupReport { return m.reports }
func (m *fakeMonitor) Active() bool                   { return false }
func (m *fakeMonitor) Close()                         {}
func (m *fakeMonitor) StopAll(_ context.Context, deadline time.Duration) []monitor.Leftover {
	m.note("stop all")
	m.deadline = deadline
	if m.stopping != nil {
		m.stopping()
		m.stopping = nil
	}
	return m.stuck
}

func (m *fakeMonitor) take() []string {
	calls := m.calls
	m.calls = nil
	return calls
}

// bench is a keeper with everything around it simulated: a fake monitor, a fake API, a standing that the test sets.
type bench struct {
	t       *testing.T
	keeper  *keeper
	monitor *fakeMonitor
	api     client.Client
	lies    *bool // the cache hides the group although it is there
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, monitor: &fakeMonitor{}, lies: new(false)}
	index := func(o client.Object) []string { return []string{o.(*v1alpha1.Resource).Spec.GroupName} }
	objects = append(objects,
		&v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, Status: v1alpha1.ClusterStatus{ClusterID: "00000000000000aa"}},
		&v1alpha1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}, Status: v1alpha1.NodeStatus{ID: 1},
		})
	b.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.ResourceGroup{}, &v1alpha1.Resource{}, &v1alpha1.Node{}).
		WithIndex(&v1alpha1.Resource{}, resourceGroupIndex, index).Build()
	cached := interceptor.NewClient(b.api.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if _, group := obj.(*v1alpha1.ResourceGroup); group && *b.lies {
				key.Name += "-hidden"
			}
			return c.Get(ctx, key, obj, opts...)
		},
	})
	log := testr.New(t)
	files, err := openFiles(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLease(files.runDir, "boot", runstate.BootTime, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.close() })
	settings := &Settings{Cluster: "demo", ClusterID: "00000000000000aa", NodeName: "node-a", Self: 1, SelfFence: time.Second}
	b.keeper = &keeper{
		log: log, now: runstate.BootTime, nodeName: "node-a", cluster: "demo", lease: l, monitor: b.monitor,
		core:      newCore(files, "boot", l, runstate.BootTime, log, func() {}),
		enrolment: &enrolment{log: log, now: runstate.BootTime, files: files, settings: settings},
		world:     func() *world { return &world{cached: cached, direct: b.api} },
		orders:    &gate{}, said: func() bool { return true },
		problems: newProblems(func() {}), burnt: func(model.Generation) bool { return false }, unlock: func() error { return nil },
		stuck: func([]monitor.Leftover) {}, lost: make(chan struct{}, 1),
		published: func() {}, renewed: func([]monitor.GroupReport) {}, wake: make(chan struct{}, 1), dirty: map[client.ObjectKey]bool{}, known: map[string]applied{},
		waiting: map[client.ObjectKey]bool{}, specs: map[string]int64{},
		proofs: func(context.Context) (fenced, confirmed map[model.Member]bool, err error) { return nil, nil, nil },
	}
	go func() { // core's loop, as far as it is needed
		for {
			select {
			case command := <-b.keeper.core.commands:
				command()
			case <-t.Context().Done():
				return
			}
		}
	}()
	b.stand(3, 7)
	return b
}

// stand sets the standing: this node in a life and a view; view 0 is none.
func (b *bench) stand(generation model.Generation, view uint64) {
	s := &standing{Settings: b.keeper.enrolment.current(), Status: membership.Status{Self: model.Member{ID: 1, Generation: generation}}}
	if view != 0 {
		s.Acting, s.Keeping = true, true
		s.View = &membership.View{ID: model.ViewID{Number: view, Coordinator: 1}, Members: []model.Member{s.Self}}
	}
	b.keeper.core.current.Store(s)
}

// groups looks at all groups and returns what the monitor was told.
func (b *bench) groups() []string {
	b.t.Helper()
	b.keeper.touch(nil)
	b.keeper.groups(b.t.Context(), b.keeper.world() != nil)
	return b.monitor.take()
}

func (b *bench) update(obj client.Object) {
	b.t.Helper()
	spec := obj.DeepCopyObject().(client.Object)
	if err := b.api.Update(b.t.Context(), spec); err != nil {
		b.t.Fatal(err)
	}
	obj.SetResourceVersion(spec.GetResourceVersion())
	if err := b.api.Status().Update(b.t.Context(), obj); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) want(got []string, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("the monitor was told (-want +got):\n%s", diff)
	}
}

func shop() (*v1alpha1.ResourceGroup, *v1alpha1.Resource) {
	g := &v1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: "g1"}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: "demo"},
	}
	g.Status.Assignment = &v1alpha1.Assignment{Node: "node-a", NodeID: 1, Generation: 3, Epoch: 5, ViewID: v1alpha1.ViewID{Number: 7}}
	r := &v1alpha1.Resource{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "ip", UID: "r1", Generation: 1},
		Spec:       v1alpha1.ResourceSpec{GroupName: "shop", Type: v1alpha1.TypeIPAddress},
	}
	r.Status.Conditions = accepted(1, metav1.ConditionTrue)
	return g, r
}

// TestNewLife: a start adopts, then cleans up; the loss of quorum stops everything before the next life begins (O3).
func TestNewLife(t *testing.T) {
	b := newBench(t)
	b.keeper.newLife(t.Context(), b.keeper.core.standing())
	b.want(b.monitor.take(), "identity 1.3", "adopt", "clean up")
	if err := b.keeper.mayAct(); err == nil {
		t.Error("it may act although the lease was never acting")
	}
	b.stand(4, 0)
	b.keeper.newLife(t.Context(), b.keeper.core.standing())
	b.want(b.monitor.take(), "view lost", "stop all", "identity 1.4", "clean up")

	// Something is left: the life does not begin.
	b.stand(5, 0)
	b.monitor.leftovers = []monitor.Leftover{{Message: "stuck"}}
	b.keeper.newLife(t.Context(), b.keeper.core.standing())
	if b.keeper.begun != 4 {
		t.Errorf("life %d has begun although something of the one before is left", b.keeper.begun)
	}
	if list := b.keeper.problems.list(); len(list) != 1 || list[0].Reason != problemLeftover {
		t.Errorf("problems: %+v", list)
	}
}

// TestDeadline: the self-fence deadline counts from when the stop begins, which is later than the end of the lease while a challenge
// is under way (R8).
func TestDeadline(t *testing.T) {
	b := newBench(t)
	b.keeper.now = func() time.Duration { return 5 * time.Second }
	for _, stopAt := range []time.Duration{0, 7 * time.Second} {
		b.keeper.lease.write(func(c *runstate.Lease) { c.KeepingUntil, c.StopAt = 5*time.Second, stopAt })
		b.keeper.fence(t.Context(), time.Second)
		if want := max(5*time.Second, stopAt) + time.Second; b.monitor.deadline != want {
			t.Errorf("with StopAt %s the deadline is %s, not %s", stopAt, b.monitor.deadline, want)
		}
	}
}

// TestNewLifeBurnt: what the guardian has begun to stop is not adopted (O11).
func TestNewLifeBurnt(t *testing.T) {
	b := newBench(t)
	b.keeper.burnt = func(model.Generation) bool { return true }
	b.keeper.newLife(t.Context(), b.keeper.core.standing())
	b.want(b.monitor.take(), "identity 1.3", "clean up")
}

func TestGroups(t *testing.T) {
	g, r := shop()
	b := newBench(t, g, r)
	b.keeper.begun = 3
	b.want(b.groups(), "apply g1 run=true epoch=5 resources=1 frozen=false")
	b.want(b.groups()) // nothing has changed

	// A changed spec waits until it is accepted; then it is applied at the same epoch.
	r.Generation, r.Spec.Restart.Threshold = 2, new(int32(1))
	b.update(r)
	b.want(b.groups())
	r.Status.Conditions = accepted(2, metav1.ConditionTrue)
	b.update(r)
	b.want(b.groups(), "apply g1 run=true epoch=5 resources=1 frozen=false")

	// Maintenance freezes.
	g.Spec.Maintenance = true
	b.update(g)
	b.want(b.groups(), "apply g1 run=true epoch=5 resources=1 frozen=true")
	g.Spec.Maintenance = false

	// A withdrawal of a view that is not ours yet waits (R10).
	g.Status.Assignment = &v1alpha1.Assignment{Epoch: 6, ViewID: v1alpha1.ViewID{Number: 8}}
	b.update(g)
	b.want(b.groups())
	b.stand(3, 8)
	b.keeper.tellView(t.Context())
	b.want(b.monitor.take(), "view 8/1")
	b.want(b.groups(), "apply g1 run=false epoch=6 resources=0 frozen=false")
}

// TestCacheIsReplaced: what happened while the API server was out of reach is in the next cache only, which may take the place of the last one
// while a pass goes on; that pass has not looked at it with the old one.
func TestCacheIsReplaced(t *testing.T) {
	g, r := shop()
	before, now := newBench(t), newBench(t, g, r)
	k := before.keeper
	k.begun = 3
	usable := k.world() != nil // a pass has begun
	k.world = now.keeper.world
	k.touch(nil)
	k.groups(t.Context(), usable)
	before.want(before.monitor.take(), "apply g1 run=true epoch=5 resources=1 frozen=false")
}

// TestNotObeyedIsNotForgotten: what was touched while nobody could be obeyed is looked at later.
func TestNotObeyedIsNotForgotten(t *testing.T) {
	g, r := shop()
	b := newBench(t, g, r)
	b.keeper.begun = 3
	b.keeper.touch(g)
	b.keeper.groups(t.Context(), false)
	b.want(b.monitor.take())
	b.keeper.groups(t.Context(), true)
	b.want(b.monitor.take(), "apply g1 run=true epoch=5 resources=1 frozen=false")
}

// TestVanished: a group that only the cache has lost goes on; one that is really gone is stopped (O11).
func TestVanished(t *testing.T) {
	g, r := shop()
	b := newBench(t, g, r)
	b.keeper.begun = 3
	b.groups()
	b.monitor.reports = []monitor.GroupReport{{Group: resourcetype.Identity{UID: "g1", Namespace: "demo", Name: "shop"}}}
	*b.lies = true
	b.want(b.groups())
	if err := b.api.Delete(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	b.want(b.groups(), "forget g1")
	*b.lies = false

	// Made again under the same name: another group.
	again, _ := shop()
	again.UID, again.ResourceVersion = types.UID("g2"), ""
	if err := b.api.Create(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	b.want(b.groups(), "forget g1", "apply g2 run=true epoch=5 resources=1 frozen=false")
}

// TestForeignCluster: an API that speaks of another cluster is not obeyed, and the node says why.
func TestForeignCluster(t *testing.T) {
	g, r := shop()
	b := newBench(t, g, r)
	b.keeper.begun = 3
	b.keeper.enrolment.settings.ClusterID = "00000000000000bb"
	b.keeper.pass(t.Context())
	for _, call := range b.monitor.take() {
		if call != "view 7/1" {
			t.Errorf("the monitor was told %q", call)
		}
	}
	list := b.keeper.problems.list()
	if len(list) != 1 || list[0].Reason != v1alpha1.ProblemWrongCluster {
		t.Errorf("problems: %+v", list)
	}
}
