package nodeagent

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/powerfence"
)

// fakePower is a device that does what the test says.
type fakePower struct {
	mu       sync.Mutex
	fails    error
	off, on  int
	entered  chan struct{} // told of each Off
	leave    chan struct{} // waited for, if there is one
	unusable map[string]bool
	secrets  []powerfence.Parameter
}

func (p *fakePower) Check(_ context.Context, l *powerfence.Level) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secrets = l.Secrets
	if p.unusable[l.Driver] {
		return errors.New("driver " + l.Driver + " is not installed on this host")
	}
	return nil
}

func (p *fakePower) Off(ctx context.Context, levels []powerfence.Level, still func() error) (powerfence.Result, error) {
	p.entered <- struct{}{}
	if p.leave != nil {
		select {
		case <-p.leave:
		case <-ctx.Done():
			return powerfence.Result{}, ctx.Err()
		}
	}
	if err := still(); err != nil {
		return powerfence.Result{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails != nil {
		return powerfence.Result{}, p.fails
	}
	p.off++
	return powerfence.Result{Level: levels[0].Number, Driver: levels[0].Driver}, nil
}

func (p *fakePower) On(context.Context, *powerfence.Level) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on++
	return nil
}

// fenceBench is a fencer on node-a of three; node-c is lost, and group app of node-b waits for proof.
type fenceBench struct {
	*powerFencer
	t     *testing.T
	api   client.Client
	power *fakePower
	mu    sync.Mutex
	s     standing
}

func newFenceBench(t *testing.T) *fenceBench {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	objects := []client.Object{&v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}}
	settings := &Settings{Cluster: "demo", NodeName: "node-a", Self: 1}
	for i, name := range []string{"node-a", "node-b", "node-c"} {
		n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
		n.Status.ID, n.Status.Generation = int32(i+1), 4
		n.Spec.Fencing = []v1alpha1.FencingLevel{
			{Level: 1, Driver: "fence_missing"},
			{Level: 2, Driver: "fence_lab", SecretRef: &v1alpha1.SecretReference{Namespace: "quorate-system", Name: "bmc"}},
		}
		objects = append(objects, n)
		settings.Nodes = append(settings.Nodes, NodeSettings{Name: name, ID: model.NodeID(i + 1)})
	}
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "app", UID: "g1"}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: "demo"}}
	g.Status.Assignment = &v1alpha1.Assignment{
		Node: "node-b", NodeID: 2, Generation: 4, Epoch: 6, ViewID: v1alpha1.ViewID{Number: 9},
		Unproven: []v1alpha1.UnprovenOwner{{Node: "node-c", NodeID: 3, Generation: 4, Epoch: 5}},
	}
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "p"}, Spec: v1alpha1.ResourceSpec{GroupName: "app", Type: v1alpha1.TypeGenericApplication}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "quorate-system", Name: "bmc"}, Data: map[string][]byte{"password": []byte("s3cret\n"), "login": []byte("root")}}
	objects = append(objects, g, r, secret)
	b := &fenceBench{t: t, power: &fakePower{entered: make(chan struct{}, 16), unusable: map[string]bool{"fence_missing": true}}}
	b.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Node{}, &v1alpha1.ResourceGroup{}).Build()
	b.s = standing{Settings: settings}
	b.s.Self, b.s.Acting, b.s.ReachesAPI = model.Member{ID: 1, Generation: 4}, true, true
	b.s.View = &membership.View{ID: model.ViewID{Number: 9, Coordinator: 1}, Members: []model.Member{{ID: 1, Generation: 4}, {ID: 2, Generation: 4}}}
	b.s.Peers = []membership.PeerStatus{{ID: 2, Generation: 4, Heard: true, ReachesAPI: true}, {ID: 3, Generation: 4, Heard: true, Silent: true}}
	b.powerFencer = b.make(filepath.Join(t.TempDir(), fencingFile))
	if err := b.load(); err != nil {
		t.Fatal(err)
	}
	b.refresh()
	return b
}

func (b *fenceBench) make(path string) *powerFencer {
	return &powerFencer{
		log: testr.New(b.t), nodeName: "node-a", cluster: "demo", power: b.power, path: path, problems: newProblems(func() {}), changed: func() {},
		now: time.Now, wake: make(chan struct{}, 1), recheck: make(chan struct{}, 1), world: func() *world { return &world{cached: b.api, direct: b.api} },
		standing: func() *standing {
			b.mu.Lock()
			defer b.mu.Unlock()
			s := b.s
			return &s
		},
	}
}

// refresh does what checkLevels does in its rounds.
func (b *fenceBench) refresh() []v1alpha1.AgentProblem {
	b.t.Helper()
	usable, checked, problems, err := b.levels(b.t.Context(), b.world())
	if err != nil {
		b.t.Fatal(err)
	}
	b.usable, b.checked = usable, checked
	return problems
}

func (b *fenceBench) change(f func(s *standing)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.s)
}

// passAndWait makes a pass and lets all that it began end.
func (b *fenceBench) passAndWait() {
	b.pass(b.t.Context())
	b.running.Wait()
}

func TestFencing(t *testing.T) {
	b := newFenceBench(t)
	b.passAndWait()
	can, fencings, _ := b.report()
	if len(can) != 2 || can[1].Node != "node-c" || !slices.Equal(can[1].Levels, []int32{2}) {
		t.Errorf("can fence %+v", can)
	}
	if len(fencings) != 1 || fencings[0].State != v1alpha1.FencingFenced || fencings[0].Generation != 4 || fencings[0].Level != 2 || len(fencings[0].Cycles) != 1 {
		t.Errorf("fencings %+v", fencings)
	}
	if b.power.off != 1 || b.power.on != 1 {
		t.Errorf("switched off %d times, on %d times", b.power.off, b.power.on)
	}
	fenced, confirmed, err := b.proofs(t.Context())
	if err != nil || !fenced[model.Member{ID: 3, Generation: 4}] || len(fenced) != 1 || len(confirmed) != 0 {
		t.Errorf("proofs %v %v, %v", fenced, confirmed, err)
	}
	// It is done: no second time, and not after a restart of the agent either.
	b.passAndWait()
	again := b.make(b.path)
	if err := again.load(); err != nil {
		t.Fatal(err)
	}
	again.usable, again.checked = b.usable, b.checked
	again.pass(t.Context())
	again.running.Wait()
	if b.power.off != 1 {
		t.Errorf("switched off %d times", b.power.off)
	}
	// The node comes back in a newer life: its history is kept for an hour, then nothing.
	b.change(func(s *standing) { s.Peers[1].Generation, s.Peers[1].Silent = 5, false })
	b.passAndWait()
	b.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	b.passAndWait()
	if _, fencings, _ = b.report(); len(fencings) != 0 {
		t.Errorf("kept for ever: %+v", fencings)
	}
}

// TestFencingFails: a failure is no proof, is told, and the next attempt waits.
func TestFencingFails(t *testing.T) {
	b := newFenceBench(t)
	b.power.fails = errors.New("level 2: no answer")
	b.passAndWait()
	b.passAndWait()
	_, fencings, _ := b.report()
	if len(fencings) != 1 || fencings[0].State != v1alpha1.FencingFailed || fencings[0].Failures != 1 || !strings.Contains(fencings[0].Message, "no answer") {
		t.Errorf("fencings %+v", fencings)
	}
	if fenced, _, _ := b.proofs(t.Context()); len(fenced) != 0 {
		t.Errorf("a failure proves %v", fenced)
	}
	if p := b.failedFencings(); len(p) != 1 || p[0].Object != "node-c" {
		t.Errorf("problems %+v", p)
	}
	b.power.fails = nil
	b.now = func() time.Time { return time.Now().Add(time.Minute) }
	b.passAndWait()
	if b.power.off != 1 {
		t.Error("it is not tried again")
	}
}

// TestFencingIsCalledOff: what was decided is looked at again before the act.
func TestFencingIsCalledOff(t *testing.T) {
	for name, change := range map[string]func(*standing){
		"quorum was lost": func(s *standing) { s.Acting = false },
		"it is in the view": func(s *standing) {
			s.View = &membership.View{Members: append(slices.Clone(s.View.Members), model.Member{ID: 3, Generation: 4})}
		},
		"it has rebooted": func(s *standing) { s.Peers = []membership.PeerStatus{{ID: 3, Generation: 5, Heard: true}} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newFenceBench(t)
			b.power.leave = make(chan struct{})
			b.pass(t.Context())
			<-b.power.entered
			b.change(change)
			close(b.power.leave)
			b.running.Wait()
			if b.power.off != 0 {
				t.Error("it was switched off all the same")
			}
		})
	}
}

// TestFencingByOldSpec: a node whose spec has changed is not fenced by what it said before.
func TestFencingByOldSpec(t *testing.T) {
	b := newFenceBench(t)
	b.checked["node-c"]--
	if b.passAndWait(); b.power.off != 0 || len(b.recheck) != 1 {
		t.Errorf("switched off %d times by an old spec; asked to look again: %d", b.power.off, len(b.recheck))
	}
	b.refresh()
	if b.passAndWait(); b.power.off != 1 {
		t.Error("it is not fenced by the new one")
	}
}

// TestFencingInterrupted: an agent that ends in the middle knows nothing afterwards.
func TestFencingInterrupted(t *testing.T) {
	b := newFenceBench(t)
	b.power.leave = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	b.pass(ctx)
	<-b.power.entered
	next := b.make(b.path) // as if the first had been killed now
	if err := next.load(); err != nil {
		t.Fatal(err)
	}
	if r := next.memory.Fencings["node-c"]; r.State != v1alpha1.FencingFailed || r.Failures != 1 {
		t.Errorf("the next agent knows %+v", r)
	}
	cancel()
	b.running.Wait()
}

// TestLevels: what cannot be used is told with its reason, and credentials that were read once outlive an API server that does not
// answer.
func TestFencingLevels(t *testing.T) {
	b := newFenceBench(t)
	if p := b.refresh(); len(p) != 2 || p[0].Object != "node-b level 1" || !strings.Contains(p[0].Message, "fence_missing is not installed") {
		t.Errorf("problems %+v", p)
	}
	want := []powerfence.Parameter{{Name: "login", Value: "root"}, {Name: "password", Value: "s3cret"}}
	if !slices.Equal(b.power.secrets, want) {
		t.Errorf("secrets %v", b.power.secrets)
	}
	if err := b.api.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "quorate-system", Name: "bmc"}}); err != nil {
		t.Fatal(err)
	}
	p := b.refresh()
	if len(b.usable["node-c"]) != 1 || !slices.Equal(b.usable["node-c"][0].Secrets, want) || len(p) != 4 {
		t.Errorf("without the Secret: %+v, problems %+v", b.usable["node-c"], p)
	}
	b.usable = nil
	if b.refresh(); len(b.usable["node-c"]) != 0 {
		t.Errorf("usable without credentials: %+v", b.usable)
	}
}

func TestConfirmOff(t *testing.T) {
	root := localapi.Caller{User: "ann"}
	for name, tc := range map[string]struct {
		request ConfirmOff
		change  func(*standing)
		want    string // part of the error
	}{
		"the last life":     {request: ConfirmOff{Node: "node-c", Reason: "unplugged"}},
		"a named life":      {request: ConfirmOff{Node: "node-c", Generation: 4, Reason: "unplugged"}},
		"no reason":         {request: ConfirmOff{Node: "node-c", Reason: " "}, want: "reason"},
		"another life":      {request: ConfirmOff{Node: "node-c", Generation: 3, Reason: "x"}, want: "generation 4, not 3"},
		"a stranger":        {request: ConfirmOff{Node: "node-x", Reason: "x"}, want: "no node"},
		"this host":         {request: ConfirmOff{Node: "node-a", Reason: "x"}, want: "itself"},
		"a member":          {request: ConfirmOff{Node: "node-b", Reason: "x"}, want: "it is alive"},
		"without a view":    {request: ConfirmOff{Node: "node-c", Reason: "x"}, change: func(s *standing) { s.Acting = false }, want: "no view that may act"},
		"one that is heard": {request: ConfirmOff{Node: "node-c", Reason: "x"}, change: func(s *standing) { s.Peers[1].Silent = false }, want: "is heard"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFenceBench(t)
			if tc.change != nil {
				b.change(tc.change)
			}
			c, err := b.confirm(t.Context(), root, &tc.request)
			_, confirmed, _ := b.proofs(t.Context())
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) || len(confirmed) != 0 {
					t.Errorf("%v, proofs %v; want %q", err, confirmed, tc.want)
				}
				return
			}
			if err != nil || c.By != "ann on node-a" || c.Generation != 4 || !confirmed[model.Member{ID: 3, Generation: 4}] || len(confirmed) != 1 {
				t.Errorf("%+v, %v, proofs %v", c, err, confirmed)
			}
			if b.passAndWait(); b.power.off != 0 {
				t.Error("what is confirmed was fenced")
			}
		})
	}
}

// TestProofsOfOthers: what any agent has done, and what the manager has written down, proves.
func TestProofsOfOthers(t *testing.T) {
	b := newFenceBench(t)
	var n v1alpha1.Node
	for name, change := range map[string]func(){
		"node-b": func() {
			n.Status.Agent = &v1alpha1.AgentStatus{
				Fencings: []v1alpha1.AgentFencing{
					{Node: "node-c", NodeID: 3, Generation: 4, State: v1alpha1.FencingFenced}, {Node: "node-a", NodeID: 1, Generation: 1, State: v1alpha1.FencingFailed},
				},
				Confirmations: []v1alpha1.AgentConfirmation{{Node: "node-d", NodeID: 4, Generation: 2}},
			}
		},
		"node-c": func() {
			n.Status.Fencing = &v1alpha1.NodeFencing{Generation: 3, Proof: v1alpha1.ProofManualConfirmation}
		},
	} {
		n = v1alpha1.Node{}
		if err := b.api.Get(t.Context(), client.ObjectKey{Name: name}, &n); err != nil {
			t.Fatal(err)
		}
		change()
		if err := b.api.Status().Update(t.Context(), &n); err != nil {
			t.Fatal(err)
		}
	}
	fenced, confirmed, err := b.proofs(t.Context())
	if err != nil || len(fenced) != 1 || !fenced[model.Member{ID: 3, Generation: 4}] || len(confirmed) != 2 ||
		!confirmed[model.Member{ID: 4, Generation: 2}] || !confirmed[model.Member{ID: 3, Generation: 3}] {
		t.Errorf("fenced %v, confirmed %v, %v", fenced, confirmed, err)
	}
	if b.passAndWait(); b.power.off != 0 {
		t.Error("what another has fenced is fenced again")
	}
}
