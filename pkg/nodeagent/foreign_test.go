package nodeagent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// fakeDiskType is a disk in memory, of which node 2 is this host.
type fakeDiskType struct {
	resourcetype.Type
	disk *reservation.Fake
	inst *resourcetype.Instance
	busy error
}

func (d *fakeDiskType) ClearForeign(ctx context.Context, inst *resourcetype.Instance, keys []reservation.Key) ([]reservation.Key, error) {
	d.inst = inst
	if d.busy != nil {
		return nil, d.busy
	}
	me, err := reservation.NewKey(0xabcdef, inst.Node, 1)
	if err != nil {
		return nil, err
	}
	return reservation.ClearForeign(ctx, d.disk.Host("here"), me, keys, inst.MayAct)
}

// clearBench is a clearer on node-b of two, and a disk that another program has reserved.
type clearBench struct {
	*clearer
	t    *testing.T
	api  client.Client
	disk *fakeDiskType
	s    standing
	live bool
}

func newClearBench(t *testing.T) *clearBench {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	objects := []client.Object{&v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}}
	for i, name := range []string{"node-a", "node-b"} {
		n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
		n.Status.ID = int32(i + 1)
		n.Status.Agent = &v1alpha1.AgentStatus{Generation: 1, Disks: []v1alpha1.AgentDisk{{Device: "/array/1", Visible: true}}}
		objects = append(objects, n)
	}
	objects[1].(*v1alpha1.Node).Status.Agent.View = &v1alpha1.AgentView{
		ID: v1alpha1.ViewID{Number: 3, Coordinator: 1}, Quorate: true, Members: []v1alpha1.AgentViewMember{{ID: 1, Generation: 1}, {ID: 2, Generation: 1}},
	}
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "app", UID: "g1"}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: "demo"}}
	g.Status.Assignment = &v1alpha1.Assignment{Node: "node-b", NodeID: 2, Generation: 1, Epoch: 6, ViewID: v1alpha1.ViewID{Number: 3}}
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "disk", UID: "r1"}, Spec: v1alpha1.ResourceSpec{
		GroupName: "app", Type: v1alpha1.TypeLoopbackDisk, ResourceParameters: v1alpha1.ResourceParameters{LoopbackDisk: &v1alpha1.LoopbackDisk{File: "/array/1"}},
	}}
	b := &clearBench{t: t, live: true, disk: &fakeDiskType{disk: reservation.NewFake()}}
	b.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, g, r)...).
		WithStatusSubresource(&v1alpha1.Node{}, &v1alpha1.ResourceGroup{}, &v1alpha1.Resource{}).Build()
	b.s = standing{Settings: &Settings{Cluster: "demo", ClusterID: "abcdef0123456789", NodeName: "node-b", Self: 2}}
	b.s.Self, b.s.Acting = model.Member{ID: 2, Generation: 1}, true
	b.s.View = &membership.View{ID: model.ViewID{Number: 3, Coordinator: 1}}
	types := resourcetype.NewRegistry()
	types.Register(string(v1alpha1.TypeLoopbackDisk), b.disk)
	b.clearer = &clearer{
		log: testr.New(t), nodeName: "node-b", cluster: "demo", standing: func() *standing { return &b.s }, reached: func() bool { return b.live }, types: types,
		world: func() *world { return &world{cached: b.api, direct: b.api} }, changed: func() {}, now: time.Now, done: map[string]v1alpha1.AgentClearing{},
	}
	alien := b.disk.disk.Host("alien")
	if err := errors.Join(alien.RegisterIgnore(t.Context(), 0xfeed), alien.Reserve(t.Context(), 0xfeed)); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *clearBench) resource(change func(*v1alpha1.ResourceStatus)) {
	b.t.Helper()
	r, err := b.world().resource(b.t.Context(), client.ObjectKey{Namespace: "x", Name: "disk"})
	if err != nil {
		b.t.Fatal(err)
	}
	before := r.DeepCopy()
	change(&r.Status)
	if err := b.api.Status().Patch(b.t.Context(), r, client.MergeFrom(before)); err != nil {
		b.t.Fatal(err)
	}
}

// TestClearRequested: what the API asks of this node is done once, reported until it is recorded, and not done by another node.
func TestClearRequested(t *testing.T) {
	b := newClearBench(t)
	asked := metav1.NewMicroTime(time.Now().Add(-time.Second).Truncate(time.Microsecond))
	ask := func(node string, number int64) {
		b.resource(func(s *v1alpha1.ResourceStatus) {
			s.ForeignReservation = &v1alpha1.ForeignClearing{
				Number: number, Keys: []string{"0xfeed"}, Node: node, By: "ann", Reason: "gone", State: v1alpha1.ClearingRequested, Time: &asked,
			}
		})
	}
	pass := func() []v1alpha1.AgentClearing {
		if err := b.pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		return b.report()
	}
	ask("node-a", 1)
	if list := pass(); len(list) != 0 {
		t.Errorf("another node's request: %+v", list)
	}
	ask("node-b", 2)
	list := pass()
	if len(list) != 1 || list[0].State != v1alpha1.ClearingCleared || list[0].Number != 2 || list[0].By != "ann" || !strings.Contains(list[0].Message, "removed 0x000000000000feed") {
		t.Fatalf("%+v", list)
	}
	if st := b.disk.disk.Status(); st.Holder.Node() != 2 || st.Holder.Epoch() != 1 || len(st.Keys) != 1 {
		t.Errorf("the disk: %+v", st)
	}
	commands := len(b.disk.disk.Log)
	if pass(); len(b.disk.disk.Log) != commands {
		t.Errorf("it is done twice: %v", b.disk.disk.Log)
	}
	b.resource(func(s *v1alpha1.ResourceStatus) {
		s.ForeignReservation.State, s.ForeignReservation.Time = list[0].State, list[0].Time
	})
	if list := pass(); len(list) != 0 {
		t.Errorf("recorded, but still reported: %+v", list)
	}
}

// TestClearHere: what this host's operator asks is refused with the reason, or done.
func TestClearHere(t *testing.T) {
	online := func(b *clearBench) {
		b.resource(func(s *v1alpha1.ResourceStatus) { s.State, s.Node, s.Epoch = v1alpha1.ResourceOnline, "node-a", 5 })
	}
	for name, tc := range map[string]struct {
		setup   func(*clearBench)
		request ClearForeign
		want    string
	}{
		"done":                         {nil, ClearForeign{"x/disk", "0xfeed", "gone"}, ""},
		"no namespace":                 {nil, ClearForeign{"disk", "0xfeed", "gone"}, "is not NAMESPACE/NAME"},
		"no such resource":             {nil, ClearForeign{"x/other", "0xfeed", "gone"}, "there is no Resource x/other"},
		"no key":                       {nil, ClearForeign{"x/disk", "feed", "gone"}, "does not begin with 0x"},
		"no reason":                    {nil, ClearForeign{"x/disk", "0xfeed", " "}, "say how it is known"},
		"online elsewhere":             {online, ClearForeign{"x/disk", "0xfeed", "gone"}, "is Online on node-a: take its group offline first"},
		"in use here":                  {func(b *clearBench) { b.disk.busy = errors.New("still in use") }, ClearForeign{"x/disk", "0xfeed", "gone"}, "still in use"},
		"not acting":                   {func(b *clearBench) { b.s.Acting = false }, ClearForeign{"x/disk", "0xfeed", "gone"}, "in no view that may act"},
		"without the API server":       {func(b *clearBench) { b.live = false }, ClearForeign{"x/disk", "0xfeed", "gone"}, "out of reach"},
		"another key is there as well": {nil, ClearForeign{"x/disk", "0x1", "gone"}, "foreign keys that are not named: 0x000000000000feed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newClearBench(t)
			if tc.setup != nil {
				tc.setup(b)
			}
			done, err := b.clearHere(t.Context(), localapi.Caller{User: "eve"}, &tc.request)
			held := b.disk.disk.Status().Holder
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) || held != 0xfeed {
					t.Errorf("error %v, want %q; the disk is held by %v", err, tc.want, held)
				}
				return
			}
			if err != nil || done.State != v1alpha1.ClearingCleared || done.By != "eve on node-b" || held.Node() != 2 || len(b.report()) != 1 {
				t.Errorf("%+v, %v; the disk is held by %v", done, err, held)
			}
		})
	}
}
