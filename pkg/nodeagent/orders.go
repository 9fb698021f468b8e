package nodeagent

import (
	"context"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// orders is whom this node obeys, as its journal says. It is never changed, only replaced.
type orders struct {
	// view is the one in which it was said.
	view *membership.View
	// decides is Config.Decides of package autonomy: the Cluster allows decisions without the API server.
	decides bool
	// shut says that nothing is obeyed until the next orders.
	shut bool
	// api allows to obey what the API server assigns in view (J2).
	api bool
	// journal is what the node goes by instead while its journal is pending; nil when there is nothing to go by.
	pending bool
	journal *world
	// told says that all members of view have said in it whether they go by a journal: it is not published before.
	told bool
	// word is status.agent.journal; nil for nothing.
	word *v1alpha1.AgentJournal
	// session tells people what goes on; empty for nothing.
	session string
	// decided is what the API server does not have yet.
	decided []LocalDecision
}

// obeyed is where the assignments are that a node of this standing obeys; nil while it may obey none. api is what the API server shows,
// nil when that is not known.
func (o *orders) obeyed(s *standing, api *world) *world {
	switch {
	case o.shut:
		return nil
	case o.pending:
		return o.journal
	case s.membersPending():
		return nil
	case o.decides && (!o.api || !o.view.Equal(s.View)):
		return nil // who is in this view, and what they have said, is not known yet
	}
	return api
}

// publishes says that a view may be published: at once where nobody ever decides without the API server, else when all have told.
func (o *orders) publishes(s *standing) bool {
	return !o.decides && !o.pending || o.told && o.view.Equal(s.View)
}

// membersPending says that a member of the view goes by a journal.
func (s *standing) membersPending() bool {
	if s.View == nil {
		return false
	}
	for _, m := range s.View.Members {
		if p, found := s.peer(m.ID); found && p.Pending {
			return true
		}
	}
	return false
}

// anyReaches says that a member of the view reaches the API server.
func (s *standing) anyReaches() bool {
	return s.ReachesAPI || s.View != nil && slices.ContainsFunc(s.View.Members, func(m model.Member) bool {
		p, found := s.peer(m.ID)
		return found && p.ReachesAPI && !p.Silent
	})
}

// gate keeps apart who obeys orders and who replaces them: an assignment that is looked at is obeyed, or not, before others are in force.
// The zero value obeys the API server.
type gate struct {
	mu      sync.RWMutex
	current *orders
	// missed says that somebody has come while it was shut.
	missMu sync.Mutex
	missed bool
}

var obeysAPI = &orders{api: true}

// now returns the orders that are in force.
func (g *gate) now() *orders {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.current == nil {
		return obeysAPI
	}
	return g.current
}

// hold returns what may be obeyed, and keeps the orders in force until release is called. Nothing may be obeyed when it is nil.
func (g *gate) hold(s *standing, api *world) (w *world, release func()) {
	g.mu.RLock()
	o := g.current
	if o == nil {
		o = obeysAPI
	}
	if w = o.obeyed(s, api); o.shut {
		g.missMu.Lock()
		g.missed = true
		g.missMu.Unlock()
	}
	return w, g.mu.RUnlock
}

// set puts orders into force. It reports whether somebody was refused since the last were.
func (g *gate) set(o *orders) (missed bool) {
	g.mu.Lock()
	g.current = o
	g.mu.Unlock()
	g.missMu.Lock()
	defer g.missMu.Unlock()
	missed, g.missed = g.missed, false
	return missed
}

// shut has nothing obeyed until orders are set again. What the statuses tell stays as it was.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := *obeysAPI
	if g.current != nil {
		o = *g.current
	}
	o.shut = true
	g.current = &o
}

// copyReader reads the objects of a copy as if they came from a cache. They are shared: nothing changes them.
type copyReader struct{ objects *snapshot.Objects }

// newCopyWorld is the world of a journal. What it cannot answer, the server is asked for.
func newCopyWorld(o *snapshot.Objects, direct client.Reader) *world {
	return &world{cached: &copyReader{objects: o}, direct: direct, copied: true}
}

func find[T client.Object](list []T, key client.ObjectKey) (found T, ok bool) {
	for _, o := range list {
		if o.GetName() == key.Name && o.GetNamespace() == key.Namespace {
			return o, true
		}
	}
	return found, false
}

// Get implements client.Reader for the kinds of a cluster.
func (r *copyReader) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	found := false
	switch into := into.(type) {
	case *v1alpha1.Cluster:
		if c := r.objects.Cluster; c != nil && c.Name == key.Name {
			*into, found = *c, true
		}
	case *v1alpha1.QuorumConfig:
		if q := r.objects.Quorum; q != nil && q.Name == key.Name {
			*into, found = *q, true
		}
	case *v1alpha1.Node:
		if n, ok := find(r.objects.Nodes, key); ok {
			*into, found = *n, true
		}
	case *v1alpha1.ResourceGroup:
		if g, ok := find(r.objects.Groups, key); ok {
			*into, found = *g, true
		}
	case *v1alpha1.Resource:
		if o, ok := find(r.objects.Resources, key); ok {
			*into, found = *o, true
		}
	default:
		return fmt.Errorf("the copy of the cluster's state has no %T", into)
	}
	if !found {
		return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.SchemeGroupVersion.Group, Resource: fmt.Sprintf("%T", into)}, key.Name)
	}
	return nil
}

// List implements client.Reader for the kinds of a cluster, with the selections that package nodeagent uses.
func (r *copyReader) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o := (&client.ListOptions{}).ApplyOptions(opts)
	switch list := list.(type) {
	case *v1alpha1.NodeList:
		for _, n := range r.objects.Nodes {
			list.Items = append(list.Items, *n)
		}
	case *v1alpha1.ResourceGroupList:
		for _, g := range r.objects.Groups {
			list.Items = append(list.Items, *g)
		}
	case *v1alpha1.ResourceList:
		group, only := "", false
		if o.FieldSelector != nil {
			group, only = o.FieldSelector.RequiresExactMatch(resourceGroupIndex)
		}
		for _, resource := range r.objects.Resources {
			if (o.Namespace == "" || o.Namespace == resource.Namespace) && (!only || group == resource.Spec.GroupName) {
				list.Items = append(list.Items, *resource)
			}
		}
	default:
		return fmt.Errorf("the copy of the cluster's state has no %T", list)
	}
	return nil
}
