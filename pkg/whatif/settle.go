package whatif

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy/standin"
	"github.com/quorate/quorate/pkg/snapshot"
)

const (
	// maxRounds is far above what any event takes: a chain of groups that depend on each other takes two rounds for each.
	maxRounds = 2000
	// maxLooks bounds how often something may be due during one wait.
	maxLooks = 200_000
)

// look makes one round of the group controller over what is reported now.
func (w *World) look() *decision.Round {
	w.publish()
	return decision.NewRound(w.objects, 0, w.now)
}

// settle lets managers and agents act in turn until nothing changes any more.
func (w *World) settle() error {
	for range maxRounds {
		round := w.look()
		changed := w.carryOut(round)
		if w.act() || changed {
			continue
		}
		w.next = w.nextTime(round)
		return nil
	}
	return fmt.Errorf("nothing has settled after %d rounds of decisions: please report this, with the manifests and events", maxRounds)
}

// carryOut writes the round's decisions, as the group controller does.
func (w *World) carryOut(round *decision.Round) (changed bool) {
	var kept []*v1alpha1.ResourceGroup
	for i, g := range w.objects.Groups {
		d := round.Decision(snapshot.Key(g))
		after := round.Status(g, i, d)
		if d != nil {
			w.step.decided(g, d)
			changed = true
		}
		if d != nil && d.Move != nil || !reflect.DeepEqual(&g.Status, after) {
			c := *g
			c.Status = *after
			if d != nil && d.Move != nil {
				c.Annotations = maps.Clone(g.Annotations)
				delete(c.Annotations, v1alpha1.MoveToAnnotation)
			}
			g = &c
		}
		if round.MayLetGo(g, i) {
			changed = true
			continue
		}
		kept = append(kept, g)
	}
	w.objects.Groups = kept
	return changed
}

// act lets every agent look at every group once.
func (w *World) act() (acted bool) {
	var resources map[string][]int
	for _, g := range w.objects.Groups {
		for _, h := range w.hosts {
			if !h.up || !h.reaches || !w.quorate {
				continue
			}
			a := snapshot.Assignment(snapshot.AssignmentFor(g, h.name))
			if _, known := h.mine[string(g.UID)]; !known && !standin.Concerned(h.name, h.id, &a) {
				continue
			}
			did := h.local(string(g.UID)).Look(h.name, h.member(), &a, w.others(h, g), false)
			if did == standin.Nothing {
				continue
			}
			acted = true
			if resources == nil {
				resources = w.resourcesOf()
			}
			w.changeResources(g, h, did, int64(a.Epoch), resources[snapshot.Key(g).String()])
			w.step.did(g, h.name, did)
		}
	}
	return w.startEdited() || acted
}

func (w *World) resourcesOf() map[string][]int {
	index := map[string][]int{}
	for i, r := range w.objects.Resources {
		key := snapshot.GroupKeyOf(r).String()
		index[key] = append(index[key], i)
	}
	return index
}

// changeResources brings the resources of a group to the state that an agent's act has led to.
func (w *World) changeResources(g *v1alpha1.ResourceGroup, h *host, did standin.Did, epoch int64, resources []int) {
	for _, i := range resources {
		r := w.objects.Resources[i]
		name := failureKey(g, r, h)
		switch did {
		case standin.Started, standin.Restarted:
			delete(w.restarts, name)
			delete(w.given, name)
			w.setResource(g, i, w.wantedState(r), h, epoch)
		case standin.Kept:
			state, _ := stateOn(g, r, h)
			if _, gaveUp := w.given[name]; !gaveUp || state == "" {
				state = w.wantedState(r)
			}
			w.setResource(g, i, state, h, epoch)
		case standin.Stopped, standin.Released:
			if a := g.Status.Assignment; snapshot.Balanced(g) || a == nil || a.Node == "" {
				_, at := stateOn(g, r, h)
				w.setResource(g, i, v1alpha1.ResourceOffline, h, at)
			}
		case standin.Proved, standin.Nothing:
		}
	}
}

// failureKey is under what the failures of a resource are counted: each node of a group of mode LoadBalanced counts its own.
func failureKey(g *v1alpha1.ResourceGroup, r *v1alpha1.Resource, h *host) types.NamespacedName {
	name := named(r)
	if snapshot.Balanced(g) {
		name.Name += "@" + h.name
	}
	return name
}

func (w *World) wantedState(r *v1alpha1.Resource) v1alpha1.ResourceState {
	if r.Spec.DesiredState == v1alpha1.DesiredOffline {
		return v1alpha1.ResourceOffline
	}
	return v1alpha1.ResourceOnline
}

// stateOn is what the host last said of the resource, and of which epoch.
func stateOn(g *v1alpha1.ResourceGroup, r *v1alpha1.Resource, h *host) (v1alpha1.ResourceState, int64) {
	if snapshot.Balanced(g) {
		if said := snapshot.OnNode(r, h.name); said != nil {
			return said.State, said.Epoch
		}
		return "", 0
	}
	if r.Status.Node != h.name {
		return "", r.Status.Epoch
	}
	return r.Status.State, r.Status.Epoch
}

func (w *World) setResource(g *v1alpha1.ResourceGroup, i int, state v1alpha1.ResourceState, h *host, epoch int64) {
	c := *w.objects.Resources[i]
	now := &metav1.MicroTime{Time: w.now}
	if snapshot.Balanced(g) {
		said := v1alpha1.ResourceMember{Node: h.name, Epoch: epoch, State: state, LastTransitionTime: now}
		c.Status.Members = slices.Clone(c.Status.Members)
		if at := slices.IndexFunc(c.Status.Members, func(m v1alpha1.ResourceMember) bool { return m.Node == h.name }); at >= 0 {
			c.Status.Members[at] = said
		} else {
			c.Status.Members = append(c.Status.Members, said)
		}
	} else {
		c.Status.State, c.Status.Node, c.Status.Epoch, c.Status.LastTransitionTime = state, h.name, epoch, now
		c.Status.GroupName = g.Name
	}
	w.objects.Resources[i] = &c
}

// startEdited brings resources online, or takes them offline, that were added to a running group or edited: their agent runs the group
// at the assignment's epoch already. It also tries again what had failed for good where it is and is due (A16).
func (w *World) startEdited() (acted bool) {
	if !w.quorate {
		return false
	}
	groups := map[string]*v1alpha1.ResourceGroup{}
	for _, g := range w.objects.Groups {
		groups[snapshot.Key(g).String()] = g
	}
	for i := range w.objects.Resources {
		g := groups[snapshot.GroupKeyOf(w.objects.Resources[i]).String()]
		if g == nil {
			continue
		}
		for _, h := range w.runners(g) {
			acted = w.startOn(g, i, h) || acted
		}
	}
	return acted
}

// startOn is startEdited for one resource on one host that runs its group.
func (w *World) startOn(g *v1alpha1.ResourceGroup, i int, h *host) bool {
	r := w.objects.Resources[i]
	due, gaveUp := w.given[failureKey(g, r, h)]
	epoch := snapshot.AssignmentFor(g, h.name).Epoch
	state, at := stateOn(g, r, h)
	switch {
	case h.local(string(g.UID)).Failing == r.Name, gaveUp && (due.IsZero() || due.After(w.now)), at == epoch && state == w.wantedState(r):
		return false
	case gaveUp:
		delete(w.given, failureKey(g, r, h))
		delete(w.restarts, failureKey(g, r, h))
		w.step.add(Action{
			Group: snapshot.Key(g).String(), Action: Restart, From: h.name, To: h.name, Reason: string(model.ReasonRetry),
			Message: "resource " + r.Name + " is tried again after its retryPeriodOnFailure",
		}, snapshot.Key(g))
	case at == epoch && state == v1alpha1.ResourceFailed:
		return false // it had failed for good before the start
	}
	w.setResource(g, i, w.wantedState(r), h, epoch)
	return true
}

// runners are the hosts that run the group at the epoch that they were given it at: one at most, but for mode LoadBalanced.
func (w *World) runners(g *v1alpha1.ResourceGroup) []*host {
	var hosts []*host
	for _, h := range w.hosts {
		a := snapshot.AssignmentFor(g, h.name)
		if a == nil || a.Node != h.name || !h.up || int64(h.generation) != a.Generation {
			continue
		}
		if l := h.mine[string(g.UID)]; l != nil && int64(l.Running) == a.Epoch {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// nextTime is when something is due although nothing happens; zero for never.
func (w *World) nextTime(round *decision.Round) (next time.Time) {
	consider := func(due time.Time) {
		if due.After(w.now) && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	if after := round.Next(); after > 0 {
		consider(w.now.Add(after))
	}
	for _, due := range w.given {
		consider(due)
	}
	for _, n := range w.objects.Nodes {
		if q := n.Status.Quarantine; q != nil && q.Until != nil {
			consider(q.Until.Time)
		}
	}
	return next
}

// until lets time pass, with everything that becomes due on the way.
func (w *World) until(t time.Time) error {
	for range maxLooks {
		if w.next.IsZero() || w.next.After(t) {
			w.now = t
			return w.settle()
		}
		w.now = w.next
		if err := w.settle(); err != nil {
			return err
		}
	}
	return fmt.Errorf("something became due more than %d times until %s: wait for a shorter time", maxLooks, t.Format(time.RFC3339))
}

// leave takes Nodes away that are being deleted and that nothing is on any more. It says whether any was.
func (w *World) leave() bool {
	left := false
	w.objects.Nodes = slices.DeleteFunc(slices.Clone(w.objects.Nodes), func(n *v1alpha1.Node) bool {
		if n.DeletionTimestamp == nil || slices.ContainsFunc(w.objects.Groups, func(g *v1alpha1.ResourceGroup) bool {
			a := snapshot.AssignmentFor(g, n.Name)
			return a != nil && (a.Node == n.Name || snapshot.Balanced(g))
		}) {
			return false
		}
		w.hosts = slices.DeleteFunc(w.hosts, func(h *host) bool { return h.name == n.Name })
		left = true
		return true
	})
	return left
}
