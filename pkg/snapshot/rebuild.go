package snapshot

import (
	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// Rebuild translates some of the groups anew, those at the places in changed, and leaves the rest of the snapshot as it is. resources are
// theirs. It gives what Build would as long as nothing else has changed: no spec, no node's state, no view.
func Rebuild(s *model.Snapshot, o *Objects, changed []int, resources map[model.GroupKey][]*v1alpha1.Resource, opts Options) {
	f := &facts{view: s.View, invalid: opts.Invalid, advisory: advisoryDisks(o.Nodes)}
	for _, i := range changed {
		g := o.Groups[i]
		var reports []model.OwnerReport
		for _, n := range o.Nodes {
			if entry := AgentReport(n, string(g.UID)); entry != nil {
				reports = append(reports, reportOf(n, entry))
			}
		}
		s.Groups[i] = groupOf(g, resources[Key(g)], reports, f)
	}
}
