package snapshot

import (
	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// HighestView is the highest quorate view that any of the nodes has published, with the node that published it; nil when there is
// none. Equal numbers are told apart by the coordinator (R3), then by the reporter, so that the answer is always the same one.
func HighestView(nodes []*v1alpha1.Node) (*v1alpha1.AgentView, *v1alpha1.Node) {
	var best *v1alpha1.Node
	for _, n := range nodes {
		if n.Status.Agent == nil || n.Status.Agent.View == nil || !n.Status.Agent.View.Quorate {
			continue
		}
		if best == nil || viewLess(best, n) {
			best = n
		}
	}
	if best == nil {
		return nil, nil
	}
	return best.Status.Agent.View, best
}

// viewLess orders by view. Of one view published by two reporters, the one of the reporter that is in charge counts: the lowest id
// that reaches the API.
func viewLess(a, b *v1alpha1.Node) bool {
	va, vb := a.Status.Agent.View, b.Status.Agent.View
	if va.ID.Number != vb.ID.Number {
		return va.ID.Number < vb.ID.Number
	}
	if va.ID.Coordinator != vb.ID.Coordinator {
		return va.ID.Coordinator < vb.ID.Coordinator
	}
	if va.ID.Record != vb.ID.Record {
		return va.ID.Record < vb.ID.Record
	}
	if inA, inB := reporterOf(va) == a.Status.ID, reporterOf(vb) == b.Status.ID; inA != inB {
		return inB
	}
	return b.Status.ID < a.Status.ID
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
	published, reporter := HighestView(o.Nodes)
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
