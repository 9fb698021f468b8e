package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// survives is what a row of WSFC's table says of a loss.
type survives string

const (
	yes    survives = "yes"
	no     survives = "no"
	some   survives = "50/50"
	tooFew          = "no such loss"
)

// TestA36VoteTable is the table of votes of WSFC (A36, A38): what a cluster with dynamic votes survives, by its nodes and whether it has
// a witness. Each loss is tried with every choice of the nodes that fail; 50/50 means that it depends on the choice.
func TestA36VoteTable(t *testing.T) {
	for _, tc := range []struct {
		nodes                    int
		witness                  bool
		one, oneThenAnother, two survives
	}{
		{2, false, some, tooFew, tooFew},
		{2, true, yes, tooFew, tooFew},
		{3, false, yes, some, no},
		{3, true, yes, yes, no},
		{4, false, yes, yes, some},
		{4, true, yes, yes, yes},
		{5, false, yes, yes, yes},
		{5, true, yes, yes, yes},
	} {
		t.Run(fmt.Sprintf("%d nodes, witness %t", tc.nodes, tc.witness), func(t *testing.T) {
			check := func(what string, want survives, losses [][][]model.NodeID) {
				if want == tooFew {
					return
				}
				if got := tryAll(t, tc.nodes, tc.witness, losses); got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
			check("one failure", tc.one, oneAtATime(tc.nodes, 1))
			check("one, then another", tc.oneThenAnother, oneAtATime(tc.nodes, 2))
			check("two at once", tc.two, twoAtOnce(tc.nodes))
		})
	}
}

// oneAtATime lists every sequence of so many losses of one node each.
func oneAtATime(nodes, steps int) [][][]model.NodeID {
	var out [][][]model.NodeID
	for a := range nodes {
		first := []model.NodeID{model.NodeID(a + 1)}
		if steps == 1 {
			out = append(out, [][]model.NodeID{first})
			continue
		}
		for b := range nodes {
			if a != b {
				out = append(out, [][]model.NodeID{first, {model.NodeID(b + 1)}})
			}
		}
	}
	return out
}

func twoAtOnce(nodes int) [][][]model.NodeID {
	var out [][][]model.NodeID
	for a := range nodes {
		for b := range a {
			out = append(out, [][]model.NodeID{{model.NodeID(a + 1), model.NodeID(b + 1)}})
		}
	}
	return out
}

// tryAll carries out each choice in a cluster of its own.
func tryAll(t *testing.T, nodes int, witness bool, losses [][][]model.NodeID) survives {
	t.Helper()
	survived := 0
	for seed, steps := range losses {
		w := calmWorld(t, Options{Seed: uint64(seed), Nodes: nodes, Witness: witness})
		left := w.All()
		run(t, w, time.Second)
		ok := true
		for _, lost := range steps {
			for _, id := range lost {
				w.Host(id).PowerOff()
				left = slices.DeleteFunc(left, func(o model.NodeID) bool { return o == id })
			}
			_, acts := w.RunUntil(4*time.Second, func() bool { return w.actingIn(left) })
			ok = ok && acts
			run(t, w, 2*time.Second) // the record follows
		}
		if ok {
			survived++
		}
	}
	switch survived {
	case len(losses):
		return yes
	case 0:
		return no
	}
	return some
}
