package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// oddCluster is three nodes in a view, and a group; the tests below say what is odd about them. It is what no scenario can bring about:
// statuses that contradict themselves or leave something out.
func oddCluster(change func(s *model.Snapshot, g *model.Group)) *model.Snapshot {
	s := &model.Snapshot{View: &model.View{ID: model.ViewID{Number: 7, Coordinator: 1}, Quorate: true, Installed: noon.Add(-time.Hour)}}
	for i, name := range []string{"a", "b", "c"} {
		n := model.Node{Name: name, ID: model.NodeID(i + 1), Generation: 1, Availability: model.Available, Connected: true, Role: model.RoleActive}
		s.Nodes = append(s.Nodes, n)
		s.View.Members = append(s.View.Members, model.ViewMember{Member: model.Member{ID: n.ID, Generation: 1}, ReachesAPI: true})
	}
	g := model.Group{
		Key: model.GroupKey{Namespace: "demo", Name: "web"}, UID: "1", Mode: model.ModeFailover, DesiredOnline: true, Priority: 2000, State: model.GroupOnline,
		ResourceCount: 1, FailoverThreshold: 3, FailoverPeriod: time.Hour, RetryPeriod: time.Hour,
		Assignment: model.Assignment{Node: "a", ID: 1, Generation: 1, Epoch: 4, View: s.View.ID, Time: noon.Add(-30 * time.Minute), Reason: model.ReasonFirstPlacement},
	}
	change(s, &g)
	s.Groups = []model.Group{g}
	return s
}

// TestStrangersAtOneEpoch: of two that run the group at the same unknown epoch the one with the lower id keeps it, whoever is heard of
// first.
func TestStrangersAtOneEpoch(t *testing.T) {
	reports := []model.OwnerReport{{Node: "b", ID: 2, Generation: 1, Running: 9}, {Node: "c", ID: 3, Generation: 1, Running: 9}}
	for range 2 {
		slices.Reverse(reports)
		r := policy.Plan(oddCluster(func(_ *model.Snapshot, g *model.Group) { g.Reports = reports }), noon)
		if len(r.Decisions) != 1 || r.Decisions[0].Assignment.Node != "b" || r.Decisions[0].Assignment.Epoch != 10 {
			t.Errorf("reports %v: %+v", reports, r.Decisions)
		}
	}
}

// TestRunnerBesideASilentOwner: who runs the group at the very epoch that an owner was given, of which nothing is heard, keeps it (O6).
func TestRunnerBesideASilentOwner(t *testing.T) {
	r := policy.Plan(oddCluster(func(_ *model.Snapshot, g *model.Group) {
		g.Reports = []model.OwnerReport{{Node: "b", ID: 2, Generation: 1, Running: 4}}
	}), noon)
	if len(r.Decisions) != 1 || r.Decisions[0].Assignment.Node != "b" || r.Decisions[0].Reason != model.ReasonAdopted {
		t.Errorf("%+v", r.Decisions)
	}
}

// TestWithdrawnMemberThatRuns: a member that runs at the epoch of its withdrawal, or above, is answered above that: told to stop again if
// it may not have the group, else given it. What becomes of the others is not lost by that.
func TestWithdrawnMemberThatRuns(t *testing.T) {
	for _, c := range []struct {
		running      model.Epoch
		availability model.Availability
		want         []policy.MemberChange
	}{
		{4, model.Drained, []policy.MemberChange{{Node: "a", Kind: policy.WithdrawMember, Epoch: 6, Reason: model.ReasonDrain}}},
		{9, model.Drained, []policy.MemberChange{{Node: "a", Kind: policy.WithdrawMember, Epoch: 10, Reason: model.ReasonDrain}}},
		{9, model.Available, []policy.MemberChange{{Node: "a", Kind: policy.AddMember, Epoch: 11, Reason: model.ReasonMemberAdded}}},
	} {
		s := oddCluster(func(s *model.Snapshot, g *model.Group) {
			s.Nodes[0].Availability = c.availability
			g.Mode, g.PossibleOwners = model.ModeLoadBalanced, []string{"a"}
			g.Members = []model.GroupMember{
				{Node: "a", ID: 1, Generation: 1, Epoch: 4, Withdrawn: true, Reason: model.ReasonDrain, Time: noon},
				{Node: "c", ID: 3, Generation: 1, Epoch: 5, Withdrawn: true, Reason: model.ReasonNotPossibleOwner, Time: noon},
			}
			g.Reports = []model.OwnerReport{{Node: "a", ID: 1, Generation: 1, Running: c.running}, {Node: "c", ID: 3, Generation: 1, Released: 5}}
			g.Assignment = model.Assignment{Epoch: 5, View: model.ViewID{Number: 7, Coordinator: 1}}
		})
		want := append(c.want, policy.MemberChange{Node: "c", Kind: policy.DropMember, Epoch: 5, Reason: model.ReasonReleased})
		r := policy.Plan(s, noon)
		if len(r.Decisions) != 1 || !slices.Equal(r.Decisions[0].Changes, want) {
			t.Errorf("%s at %d: %+v, want %+v", c.availability, c.running, r.Decisions, want)
		}
	}
}

// TestFailureAtAnUnknownTime: an agent that does not say when the resource failed is taken to mean the time of the assignment.
func TestFailureAtAnUnknownTime(t *testing.T) {
	report := model.OwnerReport{Node: "a", ID: 1, Generation: 1, Running: 4, FailoverWanted: "app", FailoverEpoch: 4}
	for _, c := range []struct {
		name     string
		mode     model.Mode
		failedAt time.Time
		due      time.Time
	}{
		{"failover, unknown", model.ModeFailover, time.Time{}, noon.Add(30 * time.Minute)},
		{"failover, known", model.ModeFailover, noon.Add(-10 * time.Minute), noon.Add(50 * time.Minute)},
		{"balanced, unknown", model.ModeLoadBalanced, time.Time{}, noon.Add(30 * time.Minute)},
		{"balanced, known", model.ModeLoadBalanced, noon.Add(-10 * time.Minute), noon.Add(50 * time.Minute)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := oddCluster(func(_ *model.Snapshot, g *model.Group) {
				g.Mode, g.State, g.PossibleOwners = c.mode, model.GroupFailed, []string{"a"}
				g.Reports = []model.OwnerReport{report}
				g.Reports[0].FailedAt = c.failedAt
				if a := &g.Assignment; c.mode == model.ModeLoadBalanced {
					g.Members = []model.GroupMember{{Node: "a", ID: 1, Generation: 1, Epoch: 4, View: a.View, Time: a.Time, State: model.GroupFailed}}
					a.Node, a.ID, a.Generation = "", 0, 0
				}
			})
			if r := policy.Plan(s, noon); len(r.Decisions) != 0 || !r.NextCheck.Equal(c.due) {
				t.Errorf("next check %s, want %s; %+v", r.NextCheck, c.due, r.Decisions)
			}
		})
	}
}

// TestMemberAboveTheCount: a member's epoch counts although the group's own count is behind it (O7).
func TestMemberAboveTheCount(t *testing.T) {
	s := oddCluster(func(_ *model.Snapshot, g *model.Group) {
		g.Mode, g.PossibleOwners = model.ModeLoadBalanced, []string{"a", "b"}
		g.Members = []model.GroupMember{{Node: "a", ID: 1, Generation: 1, Epoch: 20, Time: noon, State: model.GroupOnline}}
		g.Assignment = model.Assignment{Epoch: 4, View: model.ViewID{Number: 7, Coordinator: 1}}
	})
	r := policy.Plan(s, noon)
	if len(r.Decisions) != 1 || r.Decisions[0].Assignment.Epoch != 21 {
		t.Errorf("%+v", r.Decisions)
	}
}

// TestNodeOfAnotherName: a Node object that was made anew under another name with the same id, or under the same name with another id, is
// not the owner; what that one had leaves it.
func TestNodeOfAnotherName(t *testing.T) {
	for what, change := range map[string]func(n *model.Node){
		"another name": func(n *model.Node) { n.Name = "new" },
		"another id":   func(n *model.Node) { n.ID = 9 },
	} {
		s := oddCluster(func(s *model.Snapshot, _ *model.Group) { change(&s.Nodes[0]) })
		r := policy.Plan(s, noon)
		if len(r.Decisions) != 1 || r.Decisions[0].Kind != policy.Withdraw || r.Decisions[0].Reason != model.ReasonDrain || r.Decisions[0].From != "a" {
			t.Errorf("%s: %+v", what, r.Decisions)
		}
	}
}

// TestOlderLife: a view with the owner in an older life than the assignment names is older than the assignment (O5).
func TestOlderLife(t *testing.T) {
	s := oddCluster(func(_ *model.Snapshot, g *model.Group) { g.Assignment.Generation = 2 })
	r := policy.Plan(s, noon)
	if note := r.Groups[s.Groups[0].Key]; len(r.Decisions) != 0 || note.Reason != model.ReasonOlderView {
		t.Errorf("%+v, %+v", note, r.Decisions)
	}
}

// TestNodesWithoutIDs: nodes that have no id yet are told in the order of their names.
func TestNodesWithoutIDs(t *testing.T) {
	for _, order := range [][]string{{"x", "y", "z"}, {"z", "y", "x"}} {
		s := oddCluster(func(s *model.Snapshot, _ *model.Group) {
			for _, name := range order {
				s.Nodes = append(s.Nodes, model.Node{Name: name, Availability: model.Available})
			}
		})
		var names []string
		for _, c := range policy.Explain(s, s.Groups[0].Key, noon) {
			names = append(names, c.Node)
		}
		if want := []string{"b", "c", "a", "x", "y", "z"}; !slices.Equal(names, want) {
			t.Errorf("nodes %v: candidates %v, want %v", order, names, want)
		}
	}
}

// TestExplainWithoutAView: nobody may take anything, and there is nothing to explain.
func TestExplainWithoutAView(t *testing.T) {
	for what, change := range map[string]func(s *model.Snapshot){
		"no view":   func(s *model.Snapshot) { s.View = nil },
		"no quorum": func(s *model.Snapshot) { s.View.Quorate = false },
	} {
		s := oddCluster(func(s *model.Snapshot, _ *model.Group) { change(s) })
		if got := policy.Explain(s, s.Groups[0].Key, noon); got != nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// TestCandidatesEqual: anything that candidates tell makes a difference.
func TestCandidatesEqual(t *testing.T) {
	one := policy.Candidate{Node: "a", ID: 1, Message: "is paused", Reasons: []model.Reason{model.ReasonNodePaused}}
	for what, change := range map[string]func(c *policy.Candidate){
		"":         func(*policy.Candidate) {},
		"node":     func(c *policy.Candidate) { c.Node = "b" },
		"id":       func(c *policy.Candidate) { c.ID = 2 },
		"eligible": func(c *policy.Candidate) { c.Eligible = true },
		"rank":     func(c *policy.Candidate) { c.Rank = 1 },
		"message":  func(c *policy.Candidate) { c.Message = "is drained" },
		"reasons":  func(c *policy.Candidate) { c.Reasons = []model.Reason{model.ReasonNodeDrained} },
	} {
		other := one
		change(&other)
		if got := policy.CandidatesOf([]policy.Candidate{one}).Equal(policy.CandidatesOf([]policy.Candidate{other})); got != (what == "") {
			t.Errorf("%q differs: equal is %v", what, got)
		}
	}
}
