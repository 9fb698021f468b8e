package nodeagent

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

const (
	// lazyDelay is how long changes wait that nobody decides from.
	lazyDelay = time.Second
	// lazyBurst such changes are written as they come, later ones once in lazyInterval: links, interfaces and problems that come and
	// go for hours must not load the API server.
	lazyBurst    = 8
	lazyInterval = 15 * time.Second
)

// patience is how long the write of a change may wait that nothing is decided from. When a node dies, all others see links go down
// first and a new view a moment later: the view must not queue up behind the links, here or in the API server.
func (p *publisher) patience(status *v1alpha1.AgentStatus, issued map[string]*v1alpha1.Assignment) time.Duration {
	if p.lastNode == nil {
		return 0
	}
	urgent := func(s *v1alpha1.AgentStatus) *v1alpha1.AgentStatus {
		c := *s
		c.Peers, c.Interfaces, c.Problems, c.RecordNumber, c.Voters = nil, reaches(c.Interfaces), nil, 0, nil
		if c.View != nil {
			view := *c.View
			view.ID.Record = 0
			c.View = &view
		}
		c.Groups = p.news(c.Groups, issued)
		return &c
	}
	if !equality.Semantic.DeepEqual(urgent(p.lastNode), urgent(status)) {
		return 0
	}
	if p.lazySince.IsZero() {
		p.lazySince = time.Now()
	}
	if wait := lazyDelay - time.Since(p.lazySince); wait > 0 {
		return wait
	}
	reserved := p.lazy.Reserve()
	wait := reserved.Delay()
	if wait > 0 {
		reserved.Cancel()
	}
	return wait
}

// reaches leaves of the interfaces what other nodes decide from: whether anybody is heard on their networks.
func reaches(interfaces []v1alpha1.AgentInterface) []v1alpha1.AgentInterface {
	var list []v1alpha1.AgentInterface
	for _, i := range interfaces {
		if i.Reach != "" {
			list = append(list, v1alpha1.AgentInterface{Network: i.Network, Reach: i.Reach})
		}
	}
	return list
}

// issued are the assignments of the groups of a status, as the API shows them, by the group's uid.
func (p *publisher) issued(ctx context.Context, w *world, status *v1alpha1.AgentStatus) map[string]*v1alpha1.Assignment {
	all := map[string]*v1alpha1.Assignment{}
	for _, g := range status.Groups {
		group, err := w.group(ctx, client.ObjectKey{Namespace: g.Namespace, Name: g.Name})
		if err != nil || group == nil || string(group.UID) != g.UID {
			continue
		}
		if a := snapshot.AssignmentFor(group, p.nodeName); a != nil {
			all[g.UID] = a
		}
	}
	return all
}

// news leaves out what the controllers have told this agent themselves: that it knows of the present assignment's epoch and, where
// that is not this node's and nobody waits for its word, that nothing up to it is here. Each such write would stand in the way of
// the word that a group is released.
func (p *publisher) news(groups []v1alpha1.AgentGroup, issued map[string]*v1alpha1.Assignment) []v1alpha1.AgentGroup {
	var told []v1alpha1.AgentGroup
	for _, g := range groups {
		if a := issued[g.UID]; a != nil && g.Floor <= a.Epoch {
			g.Floor = 0
			if a.Epoch > g.Epoch {
				// How the group came here is over; only that it is gone is awaited.
				g.ProvenEpoch, g.Proofs, g.Fence, g.Online = 0, nil, nil, nil
			}
			elsewhere := a.Node != p.nodeName
			awaited := slices.ContainsFunc(a.Unproven, func(u v1alpha1.UnprovenOwner) bool { return u.Node == p.nodeName })
			if elsewhere && !awaited && g.Epoch == 0 && g.Released <= a.Epoch {
				continue
			}
		}
		told = append(told, g)
	}
	return told
}

func newerView(a, b *v1alpha1.AgentView) bool {
	return a != nil && (b == nil || a.ID.Number > b.ID.Number)
}
