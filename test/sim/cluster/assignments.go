package cluster

import (
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// look does what a group's assignment asks of this node.
func (a *agent) look(name string) {
	object, goes := a.groupObject(name)
	if !goes {
		a.journal.waiting = true
		return
	}
	uid := ""
	if object != nil {
		uid = string(object.UID)
	}
	for _, g := range a.sorted() {
		if g.name == name && g.uid != uid {
			a.forget(g)
		}
	}
	if object == nil {
		return
	}
	var acting model.ViewID
	if a.st.Acting && a.st.View != nil {
		acting = a.st.View.ID
	}
	assignment := snapshot.Assignment(snapshot.AssignmentFor(object, a.node.name))
	at := lifecycle.Standing{Self: a.st.Self, Acting: acting, Since: a.since, Known: a.groups[uid] != nil}
	if at.Known {
		at.Obeyed = a.groups[uid].report.Running
	}
	switch lifecycle.Judge(&assignment, at) {
	case lifecycle.VerdictOld:
		a.apply(object, lifecycle.Desired{Epoch: assignment.Epoch + 1, View: assignment.View})
	case lifecycle.VerdictRun:
		a.apply(object, a.desired(object, &assignment))
	case lifecycle.VerdictStop:
		a.apply(object, lifecycle.Desired{Epoch: assignment.Epoch, View: assignment.View})
	case lifecycle.VerdictWait, lifecycle.VerdictNone: // a view that comes has all groups looked at
	}
}

// forget stops a group whose object is gone, when the server says so itself (rule O11).
func (a *agent) forget(g *group) {
	if g.forgotten || a.journal.machine.Pending() {
		return
	}
	if !a.node.c.api.reachable(a.node) {
		a.after(time.Second, func() { a.dirty[g.name] = true; a.wake(0) })
		return
	}
	if now := a.node.c.api.group(g.name); now != nil && string(now.UID) == g.uid {
		return
	}
	g.forgotten = true
	epoch := g.desired.Epoch
	if g.desired.Run {
		epoch++
	}
	g.desired = lifecycle.Desired{Epoch: epoch, View: g.desired.View}
	g.step(lifecycle.Apply{Desired: g.desired})
}

func (a *agent) apply(object *v1alpha1.ResourceGroup, d lifecycle.Desired) {
	g := a.groups[string(object.UID)]
	if g == nil {
		g = a.newGroup(string(object.UID), object.Name, lifecycle.New(a.node.floors[string(object.UID)]))
		a.groups[g.uid] = g
	}
	if g.forgotten {
		return
	}
	if g.machine.Refuses(d) != nil {
		g.tell()
		return
	}
	if d.Run {
		a.setActive(true)
	}
	a.node.floors[g.uid] = max(a.node.floors[g.uid], d.Epoch)
	if !d.Run {
		d.Resources = g.desired.Resources
	}
	g.desired = d
	g.step(a.facts)
	if !a.dead {
		g.step(lifecycle.Apply{Desired: d})
	}
}

// desired is nodeagent's desiredOf with the simulation's shorter times.
func (a *agent) desired(object *v1alpha1.ResourceGroup, assignment *model.Assignment) lifecycle.Desired {
	d := lifecycle.Desired{
		Run: true, Epoch: assignment.Epoch, View: assignment.View, Unproven: assignment.Unproven, Frozen: object.Spec.Maintenance,
	}
	for _, r := range a.groupResources(object.Name) {
		d.Resources = append(d.Resources, resourceOf(r))
	}
	return d
}
