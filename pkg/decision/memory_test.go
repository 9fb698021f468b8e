package decision_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/decision/decisiontest"
	"github.com/quorate/quorate/pkg/snapshot"
)

var now = decisiontest.Now

// versions numbers the resourceVersions that a test gives out.
var versions int

// version gives a changed object a new resourceVersion.
func version(o metav1.Object) {
	versions++
	o.SetResourceVersion(fmt.Sprint("v", versions))
}

func group(o *snapshot.Objects, i int, change func(*v1alpha1.ResourceGroup)) {
	o.Groups[i] = o.Groups[i].DeepCopy()
	change(o.Groups[i])
	version(o.Groups[i])
}

func resource(o *snapshot.Objects, i int, change func(*v1alpha1.Resource)) {
	o.Resources[i] = o.Resources[i].DeepCopy()
	change(o.Resources[i])
	version(o.Resources[i])
}

func node(o *snapshot.Objects, i int, change func(*v1alpha1.Node)) {
	o.Nodes[i] = o.Nodes[i].DeepCopy()
	change(o.Nodes[i])
	version(o.Nodes[i])
}

func restarted(o *snapshot.Objects, i int) {
	versions++
	decisiontest.Restarted(o, i, fmt.Sprint("v", versions))
}

// TestMemoryLooksAtWhatChanged: what concerns one group alone is looked at alone; what may concern others, over all groups.
func TestMemoryLooksAtWhatChanged(t *testing.T) {
	cases := map[string]struct {
		change func(*snapshot.Objects)
		want   []int // nil for all
	}{
		"nothing": {func(*snapshot.Objects) {}, []int{}},
		"a resource's status": {func(o *snapshot.Objects) {
			resource(o, 31, func(r *v1alpha1.Resource) { r.Status.State = v1alpha1.ResourceFailed })
		}, []int{10}},
		"two resources of two": {func(o *snapshot.Objects) { restarted(o, 3); restarted(o, 40) }, []int{3, 40}},
		"a group's own status": {func(o *snapshot.Objects) { group(o, 5, func(g *v1alpha1.ResourceGroup) { g.Status.Conditions = nil }) }, []int{5}},
		"an agent's word of one": {func(o *snapshot.Objects) {
			node(o, 1, func(n *v1alpha1.Node) {
				n.Status.Agent.Groups[2].Floor = 5 + 0
				n.Status.Agent.Groups[2].ProvenEpoch = 4
			})
		}, []int{17}},
		"an agent wants a failover": {func(o *snapshot.Objects) { node(o, 1, wantsFailover) }, nil},
		"a resource's spec":         {func(o *snapshot.Objects) { resource(o, 31, func(r *v1alpha1.Resource) { r.Generation++ }) }, nil},
		"a group's spec":            {func(o *snapshot.Objects) { group(o, 5, func(g *v1alpha1.ResourceGroup) { g.Generation++ }) }, nil},
		"a group goes": {func(o *snapshot.Objects) {
			group(o, 5, func(g *v1alpha1.ResourceGroup) { g.DeletionTimestamp = &metav1.Time{Time: now} })
		}, nil},
		"a move": {func(o *snapshot.Objects) {
			group(o, 5, func(g *v1alpha1.ResourceGroup) { g.Annotations = map[string]string{v1alpha1.MoveToAnnotation: "best"} })
		}, nil},
		"another assignment": {func(o *snapshot.Objects) {
			group(o, 5, func(g *v1alpha1.ResourceGroup) { g.Status.Assignment.Epoch++ })
		}, nil},
		"a group more":              {func(o *snapshot.Objects) { decisiontest.AddGroup(o, 500, o.Nodes[0].DeepCopy()) }, nil},
		"another group of the name": {func(o *snapshot.Objects) { group(o, 5, func(g *v1alpha1.ResourceGroup) { g.UID = types.UID("new") }) }, nil},
		"a provider":                {func(o *snapshot.Objects) { restarted(o, 0) }, nil},
		"one that depends":          {func(o *snapshot.Objects) { restarted(o, 1) }, nil},
		"the view": {func(o *snapshot.Objects) {
			node(o, 0, func(n *v1alpha1.Node) { n.Status.Agent.View.Members = n.Status.Agent.View.Members[:4] })
		}, nil},
		"a node's spec": {func(o *snapshot.Objects) {
			node(o, 2, func(n *v1alpha1.Node) { n.Generation++; n.Spec.Availability = v1alpha1.AvailabilityDrained })
		}, nil},
		"a node's disks": {func(o *snapshot.Objects) {
			node(o, 2, func(n *v1alpha1.Node) { n.Status.Agent.Disks = []v1alpha1.AgentDisk{{Device: "x"}} })
		}, nil},
		"nobody reports": {func(o *snapshot.Objects) { o.Fresh = false }, nil},
		"too many": {func(o *snapshot.Objects) {
			for i := range 100 {
				restarted(o, 2+i)
			}
		}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := decisiontest.Edit(decisiontest.Large(8, 200), func(o *snapshot.Objects) {
				group(o, 1, func(g *v1alpha1.ResourceGroup) {
					g.Spec.DependsOn = []v1alpha1.GroupReference{{Name: o.Groups[0].Name}}
				})
			})
			m := &decision.Memory{}
			m.Keep(m.Round(o, 9, now), 9)
			r := m.Round(decisiontest.Edit(o, tc.change), 9, now)
			if diff := cmp.Diff(tc.want, r.Changed()); diff != "" {
				t.Errorf("groups looked at (-want +got):\n%s", diff)
			}
		})
	}
}

func wantsFailover(n *v1alpha1.Node) {
	n.Status.Agent.Groups[2].FailoverWanted = &v1alpha1.FailoverRequest{Resource: "app", Epoch: 5}
}

// TestMemoryForgets: what is due, what was not written, and a view that somebody has seen before make the next round look at everything.
func TestMemoryForgets(t *testing.T) {
	o := decisiontest.Large(8, 50)
	m := &decision.Memory{}
	if r := m.Round(o, 9, now); r.Changed() != nil {
		t.Error("the first round did not look at everything")
	}
	if r := m.Round(o, 9, now); r.Changed() != nil {
		t.Error("a round that was not kept is remembered")
	}
	m.Keep(m.Round(o, 9, now), 9)
	if r := m.Round(o, 10, now); r.Changed() != nil {
		t.Error("a higher view has been seen, and not everything was looked at")
	}
	m.Keep(m.Round(o, 9, now), 9)
	m.Forget()
	if r := m.Round(o, 9, now); r.Changed() != nil {
		t.Error("it did not forget")
	}
}

// TestMemoryAgrees lets random things happen, and has each round made with and without the memory: both decide the same, and what the
// memory does not look at needs no write.
func TestMemoryAgrees(t *testing.T) {
	small := 0
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 3))
		o, m := decisiontest.Large(5, 40), &decision.Memory{}
		at := now
		for step := range 60 {
			o = decisiontest.Edit(o, func(o *snapshot.Objects) { happen(o, rng) })
			at = at.Add(time.Second)
			with, without := m.Round(o, 9, at), decision.NewRound(o, 9, at)
			if diff := cmp.Diff(without.Plan.Decisions, with.Plan.Decisions); diff != "" {
				t.Fatalf("seed %d, step %d: decisions (-without memory +with):\n%s", seed, step, diff)
			}
			if with.Changed() != nil {
				small++
			}
			written := slices.Clone(o.Groups)
			for i, g := range o.Groups {
				want := without.Status(g, i, without.Decision(snapshot.Key(g)))
				got := &g.Status
				if with.Changed() == nil || slices.Contains(with.Changed(), i) {
					got = with.Status(g, i, with.Decision(snapshot.Key(g)))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("seed %d, step %d: status of %s (-without memory +with):\n%s", seed, step, g.Name, diff)
				}
				if !cmp.Equal(&g.Status, want) {
					written[i] = g.DeepCopy()
					written[i].Status = *want
					version(written[i])
				}
			}
			m.Keep(with, 9)
			o = decisiontest.Edit(o, func(o *snapshot.Objects) { o.Groups = written })
		}
	}
	if small < 120 {
		t.Errorf("only %d of 480 rounds were small", small)
	}
}

// happen changes something at random.
func happen(o *snapshot.Objects, rng *rand.Rand) {
	states := []v1alpha1.ResourceState{v1alpha1.ResourceOnline, v1alpha1.ResourceOnline, v1alpha1.ResourceFailed, v1alpha1.ResourceOnlinePending}
	switch rng.IntN(12) {
	case 0:
		node(o, 1+rng.IntN(len(o.Nodes)-1), func(n *v1alpha1.Node) {
			n.Generation++
			n.Spec.Availability = []v1alpha1.Availability{v1alpha1.AvailabilityAvailable, v1alpha1.AvailabilityDrained}[rng.IntN(2)]
		})
	case 1:
		node(o, rng.IntN(len(o.Nodes)), func(n *v1alpha1.Node) {
			if g := n.Status.Agent.Groups; len(g) > 0 {
				g[rng.IntN(len(g))].FailoverWanted = &v1alpha1.FailoverRequest{Resource: "app", Epoch: 5}
			}
		})
	case 2:
		group(o, rng.IntN(len(o.Groups)), func(g *v1alpha1.ResourceGroup) {
			g.Generation++
			g.Spec.Failback.Policy = v1alpha1.FailbackImmediate
		})
	case 3, 4:
		node(o, rng.IntN(len(o.Nodes)), func(n *v1alpha1.Node) {
			if g := n.Status.Agent.Groups; len(g) > 0 {
				at := &g[rng.IntN(len(g))]
				at.Floor, at.ProvenEpoch = at.Floor+int64(rng.IntN(2)), at.Epoch
			}
		})
	default:
		resource(o, rng.IntN(len(o.Resources)), func(r *v1alpha1.Resource) {
			r.Status.State = states[rng.IntN(len(states))]
			r.Status.Restarts++
		})
	}
}
