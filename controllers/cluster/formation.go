package cluster

import (
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// patience is how long after the youngest voting node was declared the first formation waits for those that have not reported, when
// a majority has: hosts that are switched on together then form one view at once, and groups need not be placed twice.
const patience = 3 * time.Second

// form performs the acts of a cluster's beginning, each at most once: it adopts the id that agents already have, or begins the first
// formation when a majority of the configured voting nodes has reported without a vote record (R11), or notes that it is complete. It returns
// how long it waits for the other nodes; 0 when it does not.
func form(o *snapshot.Objects, st *v1alpha1.ClusterStatus, now time.Time, newID func() string) time.Duration {
	switch {
	case st.ClusterID == "":
		if id := agentsID(o); id != "" {
			// The agents were formed before: this API server lost the fact, they did not.
			st.ClusterID = id
			st.Formation = &v1alpha1.Formation{Completed: true}
			return 0
		}
		ready, needed := status.FormationVoters(o)
		if o.Quorum == nil || len(ready) < needed || needed == 0 {
			return 0
		}
		voting, youngest := votingNodes(o)
		if wait := youngest.Add(patience).Sub(now); len(ready) < voting && wait > 0 {
			return min(wait, patience)
		}
		st.ClusterID = newID()
		st.Formation = &v1alpha1.Formation{Token: newID(), Members: ready}
	case st.Formation != nil && !st.Formation.Completed && formed(o, st):
		st.Formation.Completed = true
	}
	return 0
}

// votingNodes counts the configured voting nodes, and tells when the youngest of them was declared.
func votingNodes(o *snapshot.Objects) (count int, youngest time.Time) {
	for _, n := range o.Nodes {
		if n.DeletionTimestamp != nil || n.Spec.Votes != nil && *n.Spec.Votes == 0 {
			continue
		}
		count++
		if n.CreationTimestamp.After(youngest) {
			youngest = n.CreationTimestamp.Time
		}
	}
	return count, youngest
}

// formed says that a quorate view of this very cluster was reported.
func formed(o *snapshot.Objects, st *v1alpha1.ClusterStatus) bool {
	view, reporter := snapshot.HighestView(o.Nodes)
	return view != nil && reporter.Status.Agent.ClusterID == st.ClusterID
}

// agentsID is the cluster id that most agents have persisted; empty when none has one. Equal numbers are decided by the id, so that
// every manager decides alike.
func agentsID(o *snapshot.Objects) string {
	votes := map[string]int{}
	for _, n := range o.Nodes {
		if agent := n.Status.Agent; agent != nil && agent.ClusterID != "" {
			votes[agent.ClusterID]++
		}
	}
	best := ""
	for _, id := range slices.Sorted(maps.Keys(votes)) {
		if votes[id] > votes[best] {
			best = id
		}
	}
	return best
}
