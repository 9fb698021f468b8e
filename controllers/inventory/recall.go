package inventory

import (
	"cmp"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
)

// recall remembers what each agent has reported. An API server that is restored from a backup shows reports of the past, and for a few
// seconds, until the agents write them anew, nothing in it tells so: a decision made from them could start a group beside the
// owner that the backup does not know (O6). What an agent has said in a life stays true until it says something newer. The zero value
// is ready to use.
type recall struct {
	mu     sync.Mutex
	agents map[types.UID]*v1alpha1.AgentStatus
}

// observe takes what a Node shows.
func (r *recall) observe(n *v1alpha1.Node) *v1alpha1.AgentStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.agents == nil {
		r.agents = map[types.UID]*v1alpha1.AgentStatus{}
	}
	merged := newest(r.agents[n.UID], n.Status.Agent)
	if merged != nil {
		r.agents[n.UID] = merged
	}
	return merged
}

// node returns the Node with the newest that its agent has said of these groups; the Node itself if that is what it shows.
func (r *recall) node(n *v1alpha1.Node, groups map[string]bool) *v1alpha1.Node {
	agent := r.observe(n)
	if agent == n.Status.Agent {
		return n
	}
	shown := *agent
	shown.Groups = slices.DeleteFunc(slices.Clone(agent.Groups), func(g v1alpha1.AgentGroup) bool { return !groups[g.UID] })
	out := *n
	out.Status.Agent = &shown
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agents[n.UID] = &shown // of groups that are gone nobody will ask again
	return &out
}

// newest merges what was known of an agent with what is shown now.
func newest(known, shown *v1alpha1.AgentStatus) *v1alpha1.AgentStatus {
	switch {
	case known == nil:
		return shown
	case shown == nil || shown.ClusterID == known.ClusterID && shown.Generation < known.Generation:
		return known
	case shown.ClusterID != known.ClusterID || shown.Generation > known.Generation:
		return shown
	}
	merged := *shown
	merged.Groups = nil
	older := false
	for i := range known.Groups {
		before := &known.Groups[i]
		at := slices.IndexFunc(shown.Groups, func(g v1alpha1.AgentGroup) bool { return g.UID == before.UID })
		if at < 0 || highestEpoch(before) > highestEpoch(&shown.Groups[at]) {
			merged.Groups = append(merged.Groups, *before)
			older = true
		}
	}
	if !older {
		return shown
	}
	for i := range shown.Groups {
		if !slices.ContainsFunc(merged.Groups, func(g v1alpha1.AgentGroup) bool { return g.UID == shown.Groups[i].UID }) {
			merged.Groups = append(merged.Groups, shown.Groups[i])
		}
	}
	slices.SortFunc(merged.Groups, func(a, b v1alpha1.AgentGroup) int { return cmp.Compare(a.UID, b.UID) })
	return &merged
}

// highestEpoch never falls in what an agent says of a group in one life.
func highestEpoch(g *v1alpha1.AgentGroup) int64 {
	return max(g.Epoch, g.Released, g.Floor, g.ProvenEpoch)
}
