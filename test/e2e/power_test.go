package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/observe"
)

// lonely is a group of a process alone: neither a disk nor an address shows that its old owner has stopped.
const lonely = `
apiVersion: quorate.io/v1alpha1
kind: ResourceGroup
metadata: {name: lonely, namespace: demo}
spec: {clusterName: demo, preferredOwners: [node-c]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: lonely-app, namespace: demo}
spec:
  groupName: lonely
  type: GenericApplication
  genericApplication: {command: [/usr/bin/sleep, "86400"]}
`

// longFence is a self-fence deadline that no test waits for.
const longFence = 90 * time.Second

// setFencing gives node-c levels of power fencing, and the cluster a self-fence timeout.
func setFencing(t *testing.T, ctx context.Context, timeout *metav1.Duration, require bool, levels []v1alpha1.FencingLevel) {
	t.Helper()
	var c v1alpha1.Cluster
	must(t, cluster.Get(ctx, client.ObjectKey{Name: "demo"}, &c))
	before := c.DeepCopy()
	c.Spec.SelfFence.Timeout, c.Spec.RequireFencing = timeout, require
	must(t, cluster.Patch(ctx, &c, client.MergeFrom(before)))
	var n v1alpha1.Node
	must(t, cluster.Get(ctx, client.ObjectKey{Name: "node-c"}, &n))
	was := n.DeepCopy()
	n.Spec.Fencing = levels
	must(t, cluster.Patch(ctx, &n, client.MergeFrom(was)))
}

// afterwards has everything about fencing be as it was, and the group of a process gone, when the test ends.
func afterwards(t *testing.T, ctx context.Context) {
	t.Helper()
	var c v1alpha1.Cluster
	must(t, cluster.Get(ctx, client.ObjectKey{Name: "demo"}, &c))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recovery)
		defer cancel()
		for _, object := range objects(t, lonely) {
			must(t, client.IgnoreNotFound(cluster.Delete(ctx, object)))
		}
		setFencing(t, ctx, c.Spec.SelfFence.Timeout, c.Spec.RequireFencing, nil)
	})
}

// switchLevels are levels of fencing by the lab's switch, broken in the named ways ("" works).
func switchLevels(broken ...string) []v1alpha1.FencingLevel {
	var list []v1alpha1.FencingLevel
	for i, how := range broken {
		l := v1alpha1.FencingLevel{
			Level: int32(i + 1), Driver: "fence_lab", Timeout: &metav1.Duration{Duration: 20 * time.Second},
			Parameters: []v1alpha1.NameValue{{Name: "plug", Value: "node-c"}},
		}
		if how != "" {
			l.Parameters = append(l.Parameters, v1alpha1.NameValue{Name: "broken", Value: how})
			l.Timeout.Duration = 3 * time.Second
		}
		list = append(list, l)
	}
	return list
}

// fence gives node-c power fencing with the lab's switch, by levels that are broken in the named ways ("" works), and the cluster the
// self-fence timeout; a group of a process alone runs on node-c then. All of it goes at the end.
func fence(t *testing.T, ctx context.Context, timeout time.Duration, levels ...string) {
	t.Helper()
	afterwards(t, ctx)
	setFencing(t, ctx, &metav1.Duration{Duration: timeout}, false, switchLevels(levels...))
	for _, object := range objects(t, lonely) {
		must(t, cluster.Create(ctx, object))
	}
	must(t, cluster.WaitOnline(ctx, recovery, "lonely", "node-c"))
	waitCanFence(t, ctx, len(levels))
}

// waitCanFence waits until the others can fence node-c by so many levels.
func waitCanFence(t *testing.T, ctx context.Context, levels int) {
	t.Helper()
	for _, host := range []string{"node-a", "node-b"} {
		must(t, observe.Wait(ctx, recovery, host+" can fence node-c", func(ctx context.Context) (bool, string, error) {
			n, err := cluster.Node(ctx, host)
			if err != nil || n.Status.Agent == nil {
				return false, "", err
			}
			can := slices.ContainsFunc(n.Status.Agent.CanFence, func(target v1alpha1.AgentFenceTarget) bool {
				return target.Node == "node-c" && len(target.Levels) == levels
			})
			return can == (levels > 0), fmt.Sprintf("%+v, problems %+v", n.Status.Agent.CanFence, n.Status.Agent.Problems), nil
		}))
	}
}

// proofOf waits until the group is online elsewhere, and returns the proof that its process was started on.
func proofOf(t *testing.T, ctx context.Context) v1alpha1.ProofType {
	t.Helper()
	g := movedFrom(t, ctx, site{group: "lonely"}, "node-c")
	for _, p := range g.Status.LastFailover.Proofs {
		if p.Resource == "lonely-app" || p.Resource == "" {
			return p.Type
		}
	}
	t.Errorf("no proof of the process in %+v", g.Status.LastFailover)
	return ""
}

// fencer is the host that fences node-c first: of those that are left the one with the lowest id, which is mostly node-a. An id that was given
// out while the API server was busy may be lost, and the next one is given then.
func fencer(t *testing.T, ctx context.Context) string {
	t.Helper()
	a, err := cluster.Node(ctx, "node-a")
	must(t, err)
	b, err := cluster.Node(ctx, "node-b")
	must(t, err)
	if a.Status.ID < b.Status.ID {
		return "node-a"
	}
	return "node-b"
}

// A host hangs with a group that has neither disk nor address. The first level of its fencing lies and is not believed; the second
// cuts its power, and the group is online elsewhere long before the self-fence deadline. The host boots again.
func TestPowerFencing(t *testing.T) {
	ctx := begin(t)
	fence(t, ctx, longFence, "lies", "")
	before, err := cluster.Node(ctx, "node-c")
	must(t, err)
	began := time.Now()
	must(t, theLab.Freeze(ctx, "node-c"))
	if proof := proofOf(t, ctx); proof != v1alpha1.ProofPowerFenced {
		t.Errorf("the proof is %s", proof)
	}
	t.Logf("online elsewhere %s after the host hung; the deadline is %s", time.Since(began).Round(time.Millisecond), longFence)
	if took := time.Since(began); took > longFence {
		t.Errorf("it took %s", took)
	}
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-c"))
	after, err := cluster.Node(ctx, "node-c")
	must(t, err)
	f := after.Status.Fencing
	if f == nil || f.Proof != v1alpha1.ProofPowerFenced || f.Generation != before.Status.Generation || f.Level != 2 || f.By != fencer(t, ctx) {
		t.Errorf("status.fencing %+v, generation before %d", f, before.Status.Generation)
	}
	if after.Status.Generation <= before.Status.Generation || after.Status.Agent.BootID == before.Status.Agent.BootID {
		t.Errorf("the host was not switched off and on: generation %d then %d", before.Status.Generation, after.Status.Generation)
	}
}

// A fencing that fails is never taken for one: the group waits for the deadline, and the Node of the fencer says what failed.
func TestPowerFencingFails(t *testing.T) {
	ctx := begin(t)
	fence(t, ctx, 8*time.Second, "refuses", "lies")
	must(t, theLab.Freeze(ctx, "node-c"))
	if proof := proofOf(t, ctx); proof != v1alpha1.ProofSelfFenceDeadline {
		t.Errorf("the proof is %s", proof)
	}
	by := fencer(t, ctx)
	must(t, observe.Wait(ctx, recovery, "the failure is told", func(ctx context.Context) (bool, string, error) {
		n, err := cluster.Node(ctx, by)
		if err != nil || n.Status.Agent == nil {
			return false, "", err
		}
		failed := slices.ContainsFunc(n.Status.Agent.Fencings, func(f v1alpha1.AgentFencing) bool {
			return f.Node == "node-c" && f.State == v1alpha1.FencingFailed && strings.Contains(f.Message, "the device refuses") &&
				strings.Contains(f.Message, "not confirmed")
		})
		return failed, fmt.Sprintf("%+v", n.Status.Agent.Fencings), nil
	}))
	if n, err := cluster.Node(ctx, "node-c"); err != nil || n.Status.Fencing != nil && n.Status.Fencing.Generation == n.Status.Generation {
		t.Errorf("status.fencing %+v, %v", n.Status.Fencing, err)
	}
	must(t, theLab.Thaw(ctx, "node-c"))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-c"))
}

// Without power fencing an operator who has seen the host off says so, on a host or through the API.
func TestConfirmOff(t *testing.T) {
	for name, confirm := range map[string]func(t *testing.T, ctx context.Context, generation int64){
		"on a host": func(t *testing.T, ctx context.Context, _ int64) {
			for _, host := range []string{"node-a", "node-b"} {
				out, err := theLab.Exec(ctx, host, "/opt/quorate/bin/quorate-agent", "fence", "confirm", "--node", "node-c", "--generation", "last", "--reason", "killed by the test")
				if err != nil {
					t.Fatalf("%s: %v: %s", host, err, out)
				}
			}
		},
		"by annotation": func(t *testing.T, ctx context.Context, generation int64) {
			n, err := cluster.Node(ctx, "node-c")
			must(t, err)
			before := n.DeepCopy()
			n.Annotations = map[string]string{
				v1alpha1.ConfirmOffAnnotation: fmt.Sprint(generation), v1alpha1.ConfirmOffReasonAnnotation: "killed by the test", v1alpha1.ConfirmOffByAnnotation: "lab-operator",
			}
			must(t, cluster.Patch(ctx, n, client.MergeFrom(before)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := begin(t)
			fence(t, ctx, longFence)
			before, err := cluster.Node(ctx, "node-c")
			must(t, err)
			_, err = theLab.Kill(ctx, "node-c")
			must(t, err)
			must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeDown, "node-c"))
			confirm(t, ctx, before.Status.Generation)
			if proof := proofOf(t, ctx); proof != v1alpha1.ProofManualConfirmation {
				t.Errorf("the proof is %s", proof)
			}
			must(t, observe.Wait(ctx, recovery, "the confirmation is written down", func(ctx context.Context) (bool, string, error) {
				n, err := cluster.Node(ctx, "node-c")
				if err != nil {
					return false, "", err
				}
				f := n.Status.Fencing
				return f != nil && f.Proof == v1alpha1.ProofManualConfirmation && f.Generation == before.Status.Generation &&
					f.Reason == "killed by the test" && f.By != "", fmt.Sprintf("%+v", f), nil
			}))
			must(t, theLab.Start(ctx, "node-c"))
			must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-c"))
		})
	}
}

// A cluster that requires fencing places a group with neither disk nor address only where its power can be cut, and after the loss of
// that host the self-fence deadline is no proof: the group waits while the fencing fails, until an operator vouches for the host.
func TestRequireFencing(t *testing.T) {
	ctx := begin(t)
	afterwards(t, ctx)
	setFencing(t, ctx, &metav1.Duration{Duration: 2 * time.Second}, true, nil)
	for _, object := range objects(t, lonely) {
		must(t, cluster.Create(ctx, object))
	}
	must(t, observe.Wait(ctx, recovery, "the group is refused everywhere", func(ctx context.Context) (bool, string, error) {
		g, err := cluster.Group(ctx, "lonely")
		if err != nil {
			return false, "", err
		}
		refused := 0
		for _, c := range g.Status.Candidates {
			if !c.Eligible && slices.Contains(c.Reasons, v1alpha1.GroupReasonUnsafeFencing) {
				refused++
			}
		}
		return refused == 3 && (g.Status.Assignment == nil || g.Status.Assignment.Node == ""), fmt.Sprintf("%+v", g.Status), nil
	}))

	setFencing(t, ctx, &metav1.Duration{Duration: 2 * time.Second}, true, switchLevels("refuses"))
	waitCanFence(t, ctx, 1)
	must(t, cluster.WaitOnline(ctx, recovery, "lonely", "node-c"))
	// A second host that may take it: an armed watchdog would do as well, which the lab does not have.
	var n v1alpha1.Node
	must(t, cluster.Get(ctx, client.ObjectKey{Name: "node-b"}, &n))
	was := n.DeepCopy()
	n.Spec.Fencing = switchLevels("")
	n.Spec.Fencing[0].Parameters[0].Value = "node-b"
	must(t, cluster.Patch(ctx, &n, client.MergeFrom(was)))
	t.Cleanup(func() {
		var n v1alpha1.Node
		must(t, cluster.Get(context.Background(), client.ObjectKey{Name: "node-b"}, &n))
		was := n.DeepCopy()
		n.Spec.Fencing = nil
		must(t, cluster.Patch(context.Background(), &n, client.MergeFrom(was)))
	})
	before, err := cluster.Node(ctx, "node-c")
	must(t, err)
	_, err = theLab.Kill(ctx, "node-c")
	must(t, err)
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeDown, "node-c"))
	time.Sleep(8 * time.Second) // the deadline of 2 s, the witness's wait and the margin are long over
	r, err := cluster.Resource(ctx, "lonely-app")
	must(t, err)
	if r.Status.State == v1alpha1.ResourceOnline && r.Status.Node != "node-c" {
		t.Fatalf("the process runs on %s without proof", r.Status.Node)
	}
	confirmed := before.DeepCopy()
	confirmed.Annotations = map[string]string{
		v1alpha1.ConfirmOffAnnotation: fmt.Sprint(before.Status.Generation), v1alpha1.ConfirmOffReasonAnnotation: "killed by the test", v1alpha1.ConfirmOffByAnnotation: "lab-operator",
	}
	must(t, cluster.Patch(ctx, confirmed, client.MergeFrom(before)))
	if proof := proofOf(t, ctx); proof != v1alpha1.ProofManualConfirmation {
		t.Errorf("the proof is %s", proof)
	}
	must(t, theLab.Start(ctx, "node-c"))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-c"))
}
