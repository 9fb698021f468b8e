package cluster

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// ref names an object of the API.
type ref struct{ kind, name string }

// api is the API server: objects with resourceVersions, and watches. An object that is in it is never changed, only replaced.
type api struct {
	c       *Cluster
	version uint64
	objects map[ref]client.Object
	down    bool
	caches  []*cache
	backup  map[ref]client.Object
	// restores counts how often an older state was restored.
	restores   int
	restoredAt time.Duration
	writes     int
}

// cache is what one client has seen: it lags, and while it is cut off it stays as it was.
type cache struct {
	api     *api
	objects map[ref]client.Object
	// connected says that the watches are up; lag is how long an event takes; last keeps events in order.
	connected bool
	lag       time.Duration
	last      time.Duration
	seen      func(client.Object) // told of each object that has changed, in order; of a deleted one too
	// lists are the sorted objects of a kind, nil when something has changed.
	sorted map[string][]client.Object
	stream int
}

func refOf(o client.Object) ref {
	switch o.(type) {
	case *v1alpha1.Cluster:
		return ref{"Cluster", o.GetName()}
	case *v1alpha1.QuorumConfig:
		return ref{"QuorumConfig", o.GetName()}
	case *v1alpha1.Node:
		return ref{"Node", o.GetName()}
	case *v1alpha1.ResourceGroup:
		return ref{"ResourceGroup", o.GetName()}
	case *v1alpha1.Resource:
		return ref{"Resource", o.GetName()}
	}
	return ref{"Lease", o.GetName()}
}

// put replaces an object; its resourceVersion is set.
func (s *api) put(o client.Object) {
	s.version++
	s.writes++
	o.SetResourceVersion(strconv.FormatUint(s.version, 10))
	r := refOf(o)
	before := s.objects[r]
	s.objects[r] = o
	s.c.check.written(before, o)
	s.notify(r, o)
}

func (s *api) remove(r ref) {
	delete(s.objects, r)
	s.notify(r, nil)
}

func (s *api) notify(r ref, o client.Object) {
	for _, c := range s.caches {
		c.send(r, o)
	}
}

// send delivers an event to the cache after its lag, never before an earlier one.
func (c *cache) send(r ref, o client.Object) {
	if !c.connected {
		return
	}
	now := c.api.c.Now()
	c.last = max(c.last+1, now+c.lag+c.api.c.Between(200*time.Microsecond, 3*time.Millisecond))
	stream := c.stream
	c.api.c.After(c.last-now, func() {
		if c.stream == stream {
			c.take(r, o)
		}
	})
}

func (c *cache) take(r ref, o client.Object) {
	old := c.objects[r]
	if o == nil {
		delete(c.objects, r)
		o = old
	} else {
		c.objects[r] = o
	}
	delete(c.sorted, r.kind)
	if c.seen != nil && o != nil {
		c.seen(o)
	}
}

// relist takes over everything as it is now, as a client does that connects anew.
func (c *cache) relist() {
	c.stream++
	c.connected, c.last = true, c.api.c.Now()
	before := c.objects
	c.objects, c.sorted = map[ref]client.Object{}, map[string][]client.Object{}
	for _, r := range c.api.refs() {
		c.objects[r] = c.api.objects[r]
	}
	for r, o := range before {
		if c.objects[r] == nil && c.seen != nil {
			c.seen(o)
		}
	}
	for _, r := range c.api.refs() {
		if before[r] != c.objects[r] && c.seen != nil {
			c.seen(c.objects[r])
		}
	}
}

func (c *cache) cut() {
	c.stream++
	c.connected = false
}

func (s *api) refs() []ref {
	refs := make([]ref, 0, len(s.objects))
	for r := range s.objects {
		refs = append(refs, r)
	}
	slices.SortFunc(refs, func(a, b ref) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) })
	return refs
}

func (c *cache) list(kind string) []client.Object {
	if list, ok := c.sorted[kind]; ok {
		return list
	}
	var list []client.Object
	for r, o := range c.objects {
		if r.kind == kind {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b client.Object) int { return cmp.Compare(a.GetName(), b.GetName()) })
	c.sorted[kind] = list
	return list
}

func listOf[T client.Object](c *cache, kind string) []T {
	list := c.list(kind)
	out := make([]T, len(list))
	for i, o := range list {
		out[i] = o.(T)
	}
	return out
}

func (c *cache) groups() []*v1alpha1.ResourceGroup {
	return listOf[*v1alpha1.ResourceGroup](c, "ResourceGroup")
}

func (c *cache) group(name string) *v1alpha1.ResourceGroup {
	g, _ := c.objects[ref{"ResourceGroup", name}].(*v1alpha1.ResourceGroup)
	return g
}

func (c *cache) node(name string) *v1alpha1.Node {
	n, _ := c.objects[ref{"Node", name}].(*v1alpha1.Node)
	return n
}

func (c *cache) resources(group string) []*v1alpha1.Resource {
	return slices.DeleteFunc(listOf[*v1alpha1.Resource](c, "Resource"), func(r *v1alpha1.Resource) bool { return r.Spec.GroupName != group })
}

func (s *api) group(name string) *v1alpha1.ResourceGroup {
	g, _ := s.objects[ref{"ResourceGroup", name}].(*v1alpha1.ResourceGroup)
	return g
}

// reachable reports whether the host reaches the server now.
func (s *api) reachable(n *node) bool { return !s.down && !n.apiCut }

// change replaces an object by a changed copy, as an operator or an agent does who owns what is changed.
func change[T client.Object](s *api, r ref, f func(T)) bool {
	o, ok := s.objects[r].(T)
	if !ok {
		return false
	}
	changed := o.DeepCopyObject().(T)
	f(changed)
	s.put(changed)
	return true
}

// deleteObject begins a deletion: what finalizers hold stays until they are gone.
func (s *api) deleteObject(r ref) {
	o := s.objects[r]
	switch {
	case o == nil:
	case len(o.GetFinalizers()) == 0:
		s.remove(r)
	case o.GetDeletionTimestamp() == nil:
		changed := o.DeepCopyObject().(client.Object)
		now := metav1.NewTime(s.c.wall())
		changed.SetDeletionTimestamp(&now)
		s.put(changed)
	}
}

// setDown begins or ends an outage of the server itself.
func (s *api) setDown(down bool) {
	s.down = down
	for _, c := range s.caches {
		if down {
			c.cut()
		}
	}
}

// takeBackup remembers the present state, restore goes back to it: every client then lists everything anew.
func (s *api) takeBackup() {
	s.backup = map[ref]client.Object{}
	for r, o := range s.objects {
		s.backup[r] = o
	}
}

// settledAt is when every agent that reaches the server has written its report anew after a restore.
func (s *api) settledAt() time.Duration {
	at := s.restoredAt
	for _, n := range s.c.nodes {
		if a := n.agent; a != nil && a.publisher.at < s.restoredAt {
			return s.c.Now() + time.Second
		}
	}
	return at
}

func (s *api) restore() {
	if s.backup == nil {
		return
	}
	s.restores++
	s.restoredAt = s.c.Now()
	s.objects = map[ref]client.Object{}
	for r, o := range s.backup {
		s.objects[r] = o
	}
	s.c.check.restored()
}
