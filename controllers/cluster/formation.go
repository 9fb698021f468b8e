package cluster

import (
	"maps"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// form performs the acts of a cluster's beginning, each at most once: it adopts the id that agents already have, or begins the first
// formation when a majority of the configured voting nodes has reported without a vote record (R11), or notes that it is complete.
func form(o *snapshot.Objects, st *v1alpha1.ClusterStatus, newID func() string) {
	switch {
	case st.ClusterID == "":
		if id := agentsID(o); id != "" {
			// The agents were formed before: this API server lost the fact, they did not.
			st.ClusterID = id
			st.Formation = &v1alpha1.Formation{Completed: true}
			return
		}
		ready, needed := status.FormationVoters(o)
		if o.Quorum == nil || len(ready) < needed || needed == 0 {
			return
		}
		st.ClusterID = newID()
		st.Formation = &v1alpha1.Formation{Token: newID(), Members: ready}
	case st.Formation != nil && !st.Formation.Completed && formed(o, st):
		st.Formation.Completed = true
	}
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
