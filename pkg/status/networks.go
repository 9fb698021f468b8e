package status

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// maxNamedPairs bounds how many cut pairs a network's message names.
const maxNamedPairs = 4

// networks tells how well each network that carries heartbeats connects the members of the view, by what their agents hear.
func networks(o *snapshot.Objects, view *model.View) []v1alpha1.ClusterNetworkStatus {
	var out []v1alpha1.ClusterNetworkStatus
	for _, network := range o.Cluster.Spec.Networks {
		if network.Role.CarriesHeartbeats() {
			out = append(out, networkStatus(o, view, network.Name))
		}
	}
	return out
}

// pair is two members of the view, in order of name.
type pair struct{ a, b string }

// networkStatus joins what both ends of each pair of members say: a pair is connected when no end that reports finds the other
// silent, and one hears it at least. So a cut in one direction is a cut. The word of a member that does not reach the API server is
// old and does not count; the other end's does.
func networkStatus(o *snapshot.Objects, view *model.View, network string) v1alpha1.ClusterNetworkStatus {
	connected := map[pair]bool{}
	for _, n := range o.Nodes {
		if !reports(o, view, n) {
			continue
		}
		for _, p := range n.Status.Agent.Peers {
			peer := o.Node(p.Node)
			if p.Network != network || p.State == v1alpha1.LinkUnknown || peer == nil || !view.Has(model.NodeID(peer.Status.ID)) {
				continue
			}
			key := pair{min(n.Name, p.Node), max(n.Name, p.Node)}
			before, known := connected[key]
			connected[key] = p.State == v1alpha1.LinkUp && (before || !known)
		}
	}
	st := v1alpha1.ClusterNetworkStatus{Name: network, State: v1alpha1.NetworkUnknown}
	var cut []pair
	for key, up := range connected {
		if !up {
			cut = append(cut, key)
		}
	}
	switch {
	case len(connected) == 0:
	case len(cut) == 0:
		st.State = v1alpha1.NetworkUp
	case len(cut) == len(connected):
		st.State, st.Message = v1alpha1.NetworkDown, "no two nodes hear each other"
	default:
		st.State, st.Message = v1alpha1.NetworkPartitioned, cutMessage(cut)
	}
	return st
}

// reports says that a node is in the view and that what its agent reports is fresh.
func reports(o *snapshot.Objects, view *model.View, n *v1alpha1.Node) bool {
	if n.Status.Agent == nil || !view.Has(model.NodeID(n.Status.ID)) {
		return false
	}
	published, _ := o.Published()
	if published == nil {
		return true
	}
	i := slices.IndexFunc(published.Members, func(m v1alpha1.AgentViewMember) bool { return m.ID == n.Status.ID })
	return i < 0 || published.Members[i].ReachesAPI
}

func cutMessage(cut []pair) string {
	slices.SortFunc(cut, func(x, y pair) int { return strings.Compare(x.a+" "+x.b, y.a+" "+y.b) })
	var named []string
	for _, p := range cut[:min(len(cut), maxNamedPairs)] {
		named = append(named, p.a+" and "+p.b)
	}
	message := strings.Join(named, ", ")
	if more := len(cut) - len(named); more > 0 {
		message += fmt.Sprintf(" and %d more pairs", more)
	}
	message += " do not hear each other"
	if len(message) > 256 {
		return fmt.Sprintf("%d pairs of nodes do not hear each other", len(cut))
	}
	return message
}
