package polictest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// RandomSnapshot returns a snapshot that need not have come about by any history: assignments, lists and reports contradict each
// other. Plan has to keep its invariants over those too.
func RandomSnapshot(rng *rand.Rand) (*model.Snapshot, time.Time) {
	now := NewWorld().Now.Add(time.Duration(rng.IntN(100000)) * time.Second)
	s := &model.Snapshot{Cluster: model.Cluster{
		AntiAffinityRequired: coin(rng, 4), RequireFencing: coin(rng, 8), Maintenance: coin(rng, 20), Preempt: coin(rng, 2),
	}, Restored: coin(rng, 10)}
	view := &model.View{ID: model.ViewID{Number: uint64(rng.IntN(6)), Coordinator: 1}, Quorate: !coin(rng, 15), Installed: now}
	for i := range 1 + rng.IntN(5) {
		n := model.Node{
			Name: fmt.Sprintf("n%d", i+1), ID: model.NodeID(i + 1), Generation: model.Generation(1 + rng.IntN(3)),
			Availability: pickOf(rng, model.Available, model.Available, model.Paused, model.Drained), Role: model.RoleActive,
			Connected: !coin(rng, 5), Quarantined: coin(rng, 10), Maintenance: coin(rng, 15), Reported: !coin(rng, 5),
			FailbackOnResume: pickOf(rng, model.ResumeNone, model.ResumeImmediate, model.ResumePolicy), JoinedAt: past(rng, now),
			Watchdog: coin(rng, 2), GuardsAddresses: coin(rng, 2), ForceDrain: coin(rng, 3),
			FaultDomain: pickOf(rng, "", "rack1", "rack2"),
		}
		if coin(rng, 3) {
			n.Role = model.RoleStandby
		}
		if !coin(rng, 3) {
			n.Capacity = map[string]int64{"cpu": int64(rng.IntN(5)), "memory": int64(rng.IntN(5))}
			n.Reserved = map[string]int64{"cpu": int64(rng.IntN(2))}
		}
		if !coin(rng, 3) {
			m := model.Member{ID: n.ID, Generation: n.Generation}
			view.Members = append(view.Members, model.ViewMember{Member: m, ReachesAPI: n.Connected})
		}
		if !coin(rng, 20) {
			s.Nodes = append(s.Nodes, n)
		}
	}
	if !coin(rng, 20) {
		s.View = view
	}
	for i := range rng.IntN(6) {
		s.Groups = append(s.Groups, randomGroup(rng, i, now))
	}
	return s, now
}

func randomGroup(rng *rand.Rand, i int, now time.Time) model.Group {
	g := model.Group{
		Key: key(fmt.Sprintf("g%d", i)), UID: fmt.Sprint(i), Mode: model.ModeFailover, DesiredOnline: !coin(rng, 5), Deleting: coin(rng, 8),
		Priority: 1000 * rng.IntN(4), FailoverThreshold: rng.IntN(3), FailoverPeriod: time.Hour, RetryPeriod: time.Hour, ResourceCount: 1,
		Maintenance: coin(rng, 20), DrainedFrom: pickOf(rng, "", "n1", "n2"), EpochFloor: epoch(rng), State: pickOf(rng,
			model.GroupOnline, model.GroupOnline, model.GroupFailed, model.GroupPending, model.GroupOffline),
		Failback: model.Failback{Policy: pickOf(rng, model.FailbackNever, model.FailbackImmediate, model.FailbackWindow),
			HasStart: coin(rng, 2), HasEnd: coin(rng, 2), Start: rng.IntN(1440), End: rng.IntN(1440), Delay: time.Duration(rng.IntN(3)) * time.Minute},
		PlacedByOperator: coin(rng, 4), PlacedAt: past(rng, now),
	}
	if coin(rng, 2) {
		g.PreferredOwners = []string{node(rng), node(rng), "ghost"}
	}
	if coin(rng, 4) {
		g.PossibleOwners = []string{node(rng), node(rng)}
	}
	if coin(rng, 3) {
		g.AntiAffinityClasses = []string{"sql"}
	}
	if !coin(rng, 3) {
		g.Requests = map[string]int64{"cpu": int64(rng.IntN(4)), "memory": int64(rng.IntN(3))}
	}
	if coin(rng, 10) {
		g.Invalid = "broken"
	}
	if coin(rng, 4) {
		g.DependsOn = []model.GroupKey{key(fmt.Sprintf("g%d", rng.IntN(6)))}
	}
	if coin(rng, 5) {
		g.Move = &model.MoveRequest{Target: pickOf(rng, "best", "n1", "n2", "ghost")}
	}
	if coin(rng, 6) {
		g.FailedSince = past(rng, now)
	}
	g.Assignment = randomAssignment(rng, now)
	if coin(rng, 4) {
		randomMembers(rng, &g, now)
	}
	for id := range 4 {
		if coin(rng, 2) {
			continue
		}
		r := model.OwnerReport{
			Node: fmt.Sprintf("n%d", id+1), ID: model.NodeID(id + 1), Generation: model.Generation(1 + rng.IntN(3)),
			Running: epoch(rng), Released: epoch(rng), Floor: epoch(rng), Proven: epoch(rng),
		}
		if coin(rng, 3) {
			r.FailoverWanted, r.FailoverEpoch, r.FailedAt = "app", r.Running, past(rng, now)
		}
		g.Reports = append(g.Reports, r)
	}
	for range rng.IntN(4) {
		kind := pickOf(rng, model.FailureNode, model.FailureResource)
		g.Failures = append(g.Failures, model.Failure{Kind: kind, Node: node(rng), Resource: "app", Time: past(rng, now)})
	}
	return g
}

func randomAssignment(rng *rand.Rand, now time.Time) model.Assignment {
	a := model.Assignment{Epoch: epoch(rng)}
	if a.Epoch == 0 {
		return a
	}
	a.Time, a.View = past(rng, now), model.ViewID{Number: uint64(rng.IntN(5)), Coordinator: 1}
	a.Reason = pickOf(rng, model.ReasonMove, model.ReasonResourceFailed, model.ReasonDrain, model.ReasonDesiredOffline, model.ReasonFailback)
	if coin(rng, 3) {
		a.Target = pickOf(rng, "", "n1", "n2", "ghost")
	} else {
		a.ID = model.NodeID(1 + rng.IntN(5))
		a.Node, a.Generation = fmt.Sprintf("n%d", a.ID), model.Generation(1+rng.IntN(3))
	}
	for id := range 3 {
		if o := epoch(rng); coin(rng, 3) && o > 0 && o < a.Epoch {
			a.Unproven = append(a.Unproven, model.Owner{
				Node: fmt.Sprintf("n%d", id+1), ID: model.NodeID(id + 1), Generation: model.Generation(1 + rng.IntN(3)), Epoch: o,
			})
		}
	}
	return a
}

func coin(rng *rand.Rand, chance int) bool { return rng.IntN(chance) == 0 }

func pickOf[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func node(rng *rand.Rand) string { return fmt.Sprintf("n%d", 1+rng.IntN(5)) }

func past(rng *rand.Rand, now time.Time) time.Time {
	return now.Add(-time.Duration(rng.IntN(7200)) * time.Second)
}

// epoch is small, and now and then at the very end.
func epoch(rng *rand.Rand) model.Epoch {
	if coin(rng, 100) {
		return model.MaxEpoch - model.Epoch(rng.IntN(2))
	}
	return model.Epoch(rng.IntN(6))
}
