package cluster

import (
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
)

// askOnHost has an operator ask the agent of a host as soon as no API server is reached, if that comes soon; he gives up after a while.
func (c *Cluster) askOnHost(f Fault, a autonomy.Ask) {
	if c.autonomy {
		c.askUntil(c.host(f), a, c.Now()+8*time.Second)
	}
}

func (c *Cluster) askUntil(n *node, a autonomy.Ask, until time.Duration) {
	agent := n.agent
	deaf := agent == nil || n.frozen || n.host.Frozen() || agent.busy
	if !deaf {
		hold, _ := agent.journal.machine.Holds(n.now())
		deaf = hold != "" && hold != autonomy.HoldSession
	}
	if deaf {
		if c.Now() < until {
			c.After(200*time.Millisecond, func() { c.askUntil(n, a, until) })
		}
		return
	}
	a.ID = fmt.Sprintf("%s%d-%s", replica.RequestPrefix, c.Now().Microseconds(), a.Verb)
	a.By, a.Time = replica.Asker{User: "sim", Host: n.name}, c.wall()
	agent.drive(func(m *autonomy.Machine) { m.Ask(n.now(), a) })
	agent.after(2*time.Second, func() { agent.journal.machine.Withdraw(a.ID) })
}

func hostMove(c *Cluster, f Fault) {
	target := c.nodes[f.Other-1].name
	if f.Amount%4 == 0 {
		target = v1alpha1.MoveToBest
	}
	c.askOnHost(f, autonomy.Ask{Verb: replica.VerbMove, Name: c.group(f).name, Target: target})
}

func hostDrain(c *Cluster, f Fault) {
	a := autonomy.Ask{Verb: replica.VerbDrain, Name: c.nodes[f.Other-1].name}
	c.askOnHost(f, a)
	c.After(f.For, func() {
		a.Verb, a.Failback = replica.VerbResume, []string{"", "Immediate", "None"}[f.Amount%3]
		c.askOnHost(f, a)
	})
}

func hostOffline(c *Cluster, f Fault) {
	a := autonomy.Ask{Verb: replica.VerbOffline, Name: c.group(f).name}
	c.askOnHost(f, a)
	c.After(f.For, func() {
		a.Verb = replica.VerbOnline
		c.askOnHost(f, a)
	})
}

// heard looks at the answers that a host's operator gets.
func (k *checker) heard(n *node, replies []autonomy.Reply) {
	for _, r := range replies {
		if r.Entry == nil {
			continue
		}
		k.c.count("taken", 1)
		k.c.Trace("asked  %s of %s/%s is taken on %s as %s", r.Entry.Request.Verb, r.Entry.Namespace, r.Entry.Name, n.name, r.Entry.ID)
		// Whoever is told that it is taken may rely on it: it is on the disk of every member of the view.
		for _, m := range n.agent.st.View.Members {
			if kept := k.c.nodes[m.ID-1].kept; kept == nil || !holdsRequest(kept, r.Entry) {
				k.c.Fail("J10: %s is told that %s is taken, and node %d has it not on its disk", n.name, r.ID, m.ID)
			}
		}
	}
}

// holdsRequest says that a state has a request in its journal, or in its copy already.
func holdsRequest(s *autonomy.State, e *replica.Entry) bool {
	for i := range s.Journal {
		if s.Journal[i].ID == e.ID {
			return true
		}
	}
	return !s.Pending || s.Copy.Has(e)
}

// carriedIn is what a patch of a manager writes into a spec: what was asked for on hosts.
func carriedIn(into, from client.Object) {
	switch into := into.(type) {
	case *v1alpha1.Node:
		from := from.(*v1alpha1.Node)
		into.Spec = *from.Spec.DeepCopy()
	case *v1alpha1.ResourceGroup:
		from := from.(*v1alpha1.ResourceGroup)
		if into.Spec.DesiredState != from.Spec.DesiredState {
			into.Generation++
		}
		into.Spec = *from.Spec.DeepCopy()
	}
}

// wishAll has everything wanted and every node available, again and again for a while: what was asked for on hosts may be written later than
// the calm begins.
func (c *Cluster) wishAll(until time.Duration) {
	for _, n := range c.nodes {
		if o, ok := c.api.objects[ref{"Node", n.name}].(*v1alpha1.Node); ok && replica.Get(o, replica.FieldAvailability) != string(v1alpha1.AvailabilityAvailable) {
			change(c.api, ref{"Node", n.name}, func(o *v1alpha1.Node) { o.Spec.Availability = "" })
		}
	}
	for _, name := range c.groups {
		if g := c.api.group(name); g != nil && g.Spec.DesiredState == v1alpha1.DesiredOffline {
			change(c.api, ref{"ResourceGroup", name}, func(g *v1alpha1.ResourceGroup) { g.Spec.DesiredState = v1alpha1.DesiredOnline; g.Generation++ })
		}
	}
	if c.Now() < until {
		c.After(500*time.Millisecond, func() { c.wishAll(until) })
	}
}

// movesLeft names a group that a move of a host's operator is still asked for.
func (k *checker) movesLeft() string {
	for _, name := range k.c.groups {
		if g := k.c.api.group(name); g != nil && strings.HasPrefix(snapshot.ParseMove(replica.Get(g, replica.FieldMove)).Token, replica.RequestPrefix) {
			return fmt.Sprintf("%s is still asked to move: %s", name, replica.Get(g, replica.FieldMove))
		}
	}
	return ""
}
