package snapshot

import (
	"cmp"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// HighestView is the highest quorate view that any of the nodes has published, with the node that published it; nil when there is
// none.
func HighestView(nodes []*v1alpha1.Node) (*v1alpha1.AgentView, *v1alpha1.Node) {
	return highestView(nodes, "")
}

// Published is the highest quorate view of the cluster as its present reporter has published it.
func (o *Objects) Published() (*v1alpha1.AgentView, *v1alpha1.Node) {
	return highestView(o.Nodes, o.Reporter)
}

func highestView(nodes []*v1alpha1.Node, reporter string) (*v1alpha1.AgentView, *v1alpha1.Node) {
	var best *v1alpha1.Node
	for _, n := range nodes {
		if n.Status.Agent == nil || n.Status.Agent.View == nil || !n.Status.Agent.View.Quorate {
			continue
		}
		if best == nil || viewLess(best, n, reporter) {
			best = n
		}
	}
	if best == nil {
		return nil, nil
	}
	return best.Status.Agent.View, best
}

// viewLess orders by view: (number, coordinator) is unique (R3). One view can have been published by several nodes, one after the
// other, as members lost the API server and found it again: then the word of the one that renews the reporter's Lease counts, else of
// one that is the reporter by its own word, else of the higher id, since it took over from a lower one.
func viewLess(a, b *v1alpha1.Node, reporter string) bool {
	va, vb := a.Status.Agent.View, b.Status.Agent.View
	if c := cmp.Or(cmp.Compare(va.ID.Number, vb.ID.Number), cmp.Compare(va.ID.Coordinator, vb.ID.Coordinator)); c != 0 {
		return c < 0
	}
	if inA, inB := a.Name == reporter, b.Name == reporter; inA != inB {
		return inB
	}
	if inA, inB := reporterOf(va) == a.Status.ID, reporterOf(vb) == b.Status.ID; inA != inB {
		return inB
	}
	return a.Status.ID < b.Status.ID
}

func reporterOf(v *v1alpha1.AgentView) int32 {
	var lowest int32
	for _, m := range v.Members {
		if m.ReachesAPI && (lowest == 0 || m.ID < lowest) {
			lowest = m.ID
		}
	}
	return lowest
}

// View is the view that decisions are made in; nil when no quorate view is reported, or its reporter gives no sign of life.
func (o *Objects) View() *model.View {
	if !o.Fresh {
		return nil
	}
	return o.LastView()
}

// LastView is the highest quorate view that was ever reported, whether or not its reporter is still heard.
func (o *Objects) LastView() *model.View {
	published, reporter := o.Published()
	if published == nil {
		return nil
	}
	view := &model.View{
		ID:       ViewID(published.ID),
		Members:  make([]model.ViewMember, 0, len(published.Members)),
		Quorate:  true,
		Reporter: model.NodeID(reporter.Status.ID),
	}
	for _, m := range published.Members {
		view.Members = append(view.Members, model.ViewMember{
			Member:     model.Member{ID: model.NodeID(m.ID), Generation: model.Generation(m.Generation)},
			ReachesAPI: m.ReachesAPI,
		})
	}
	if published.InstalledAt != nil {
		view.Installed = published.InstalledAt.Time
	}
	if published.Detect != nil {
		view.Detect = published.Detect.Duration
	}
	return view
}

// ViewID translates the name of a view.
func ViewID(v v1alpha1.ViewID) model.ViewID {
	return model.ViewID{Number: uint64(v.Number), Coordinator: model.NodeID(v.Coordinator), Record: uint64(v.Record)}
}

// APIViewID is the inverse of ViewID.
func APIViewID(v model.ViewID) v1alpha1.ViewID {
	return v1alpha1.ViewID{Number: int64(v.Number), Coordinator: int32(v.Coordinator), Record: int64(v.Record)}
}
