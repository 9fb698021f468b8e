package cluster

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

func apiDown(c *Cluster, f Fault) {
	c.api.setDown(true)
	c.After(f.For, func() { c.api.setDown(false) })
}

// apiCut keeps one host from the server.
func apiCut(c *Cluster, f Fault) {
	n := c.host(f)
	n.apiCut = true
	n.cache.cut()
	c.After(f.For, func() { n.apiCut = false })
}

// apiCutAll keeps all hosts from the server for a longer while, but not the managers.
func apiCutAll(c *Cluster, f Fault) {
	for _, n := range c.nodes {
		n.apiCut = true
		n.cache.cut()
	}
	c.After(2*f.For, func() {
		for _, n := range c.nodes {
			n.apiCut = false
		}
	})
}

func managerDie(c *Cluster, f Fault) {
	m := c.manager(f)
	if m.alive {
		m.die()
		c.After(f.For, m.start)
	}
}

func managerCut(c *Cluster, f Fault) {
	m := c.manager(f)
	m.cut = true
	m.cache.cut()
	c.After(f.For, func() { m.cut = false })
}

// managerHalt stops a manager's process: when it goes on, it may believe for a moment that it leads, with what it knew then.
func managerHalt(c *Cluster, f Fault) {
	m := c.manager(f)
	if m.frozen || !m.alive {
		return
	}
	m.frozen = true
	life := m.life
	c.After(f.For, func() {
		if m.life == life {
			m.thaw()
		}
	})
}

// twoLeaders has both managers decide, as when the Lease of the election has deceived one of them.
func twoLeaders(c *Cluster, f Fault) {
	until := c.Now() + f.For
	var again func()
	again = func() {
		if c.Now() >= until {
			return
		}
		for _, m := range c.managers {
			m.lead = m.alive && !m.forgetful()
		}
		c.After(100*time.Millisecond, again)
	}
	again()
	for _, m := range c.managers {
		m.enqueue()
	}
}

// stale has one client's cache fall behind.
func stale(c *Cluster, f Fault) {
	cache := c.manager(f).cache
	if f.Other%2 == 0 {
		cache = c.host(f).cache
	}
	cache.lag = f.For / 2
	c.After(f.For, func() { cache.lag = 0 })
}

func lostAnswers(c *Cluster, f Fault) {
	c.lostAnswers = float64(f.Amount) / 100
	c.After(f.For, func() { c.lostAnswers = 0 })
}

// restore sets the server back to the last backup, with an outage around it.
func restore(c *Cluster, f Fault) {
	if c.api.backup == nil {
		return
	}
	c.api.setDown(true)
	c.api.restore()
	c.After(f.For, func() { c.api.setDown(false) })
}

// group is the one that an operator means.
func (c *Cluster) group(f Fault) ref { return ref{"ResourceGroup", c.groups[f.Other%len(c.groups)]} }

func move(c *Cluster, f Fault) {
	if c.api.down {
		return
	}
	target := c.nodes[f.Node-1].name
	change(c.api, c.group(f), func(g *v1alpha1.ResourceGroup) {
		g.Annotations = map[string]string{v1alpha1.MoveToAnnotation: fmt.Sprintf("%s/%d", target, f.At.Milliseconds())}
	})
}

func availability(c *Cluster, f Fault, to v1alpha1.Availability) {
	r := ref{"Node", c.host(f).name}
	change(c.api, r, func(n *v1alpha1.Node) { n.Spec.Availability = to })
	c.After(f.For, func() { change(c.api, r, func(n *v1alpha1.Node) { n.Spec.Availability = "" }) })
}

func offline(c *Cluster, f Fault) {
	set := func(s v1alpha1.DesiredState) {
		change(c.api, c.group(f), func(g *v1alpha1.ResourceGroup) { g.Spec.DesiredState = s; g.Generation++ })
	}
	set(v1alpha1.DesiredOffline)
	c.After(f.For, func() { set(v1alpha1.DesiredOnline) })
}

// recreate deletes a group, and makes another of the same name as soon as it is gone.
func recreate(c *Cluster, f Fault) {
	r := c.group(f)
	if c.api.objects[r] == nil || c.api.down {
		return
	}
	c.api.deleteObject(r)
	c.remake(r)
	c.api.backup = nil // one from before would bring back another group that has the same resources
}

// remake makes a group anew when it is gone; one that an older state has brought back stays.
func (c *Cluster) remake(r ref) {
	c.After(50*time.Millisecond, func() {
		switch g := c.api.group(r.name); {
		case c.api.down || g != nil && g.DeletionTimestamp != nil:
			c.remake(r)
		case g == nil:
			c.create(&v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: r.name}, Spec: *c.specs[r.name].DeepCopy()})
		}
	})
}

// owners limits where a group may run, for a while.
func owners(c *Cluster, f Fault) {
	name := c.groups[f.Other%len(c.groups)] + "-app"
	var list []string
	for i, n := range c.nodes {
		if f.Amount&(1<<i) != 0 {
			list = append(list, n.name)
		}
	}
	set := func(list []string) {
		c.edited[c.groups[f.Other%len(c.groups)]] = c.Now()
		change(c.api, ref{"Resource", name}, func(r *v1alpha1.Resource) { r.Spec.PossibleOwners = list; r.Generation++ })
	}
	set(list)
	c.After(f.For, func() { set(nil) })
}
