package whatif

import (
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// StartEvent is the event of the first step.
const StartEvent = "start"

// Run starts the world and lets the events happen, each as one step. What they name must have been checked with Prepare.
func (w *World) Run(events []Event) (*Result, error) {
	if len(events) > 0 && events[0].Kind == At {
		w.setClock(events[0].At)
	}
	first, err := w.Start()
	if err != nil {
		return nil, err
	}
	result := &Result{Steps: []Step{first}}
	for _, e := range events {
		step, err := w.Do(e)
		if err != nil {
			return nil, err
		}
		result.Steps = append(result.Steps, step)
	}
	last := result.Steps[len(result.Steps)-1]
	result.Placement, result.Unplaced = last.Placement, last.Unplaced
	return result, nil
}

// setClock makes it another time before anything has happened. Nodes that were up have been so for as long.
func (w *World) setClock(t time.Time) {
	shift := t.Sub(w.now)
	if w.record != nil && w.record.Number == 1 && w.installed.Equal(w.begun.Add(-joinedBefore)) {
		w.installed = w.installed.Add(shift)
		for i, n := range w.objects.Nodes {
			if at := n.Status.JoinedAt; at != nil && at.Time.Equal(w.begun.Add(-joinedBefore).Truncate(time.Second)) {
				c := n.DeepCopy()
				c.Status.JoinedAt = &metav1.Time{Time: w.installed.Truncate(time.Second)}
				w.objects.Nodes[i] = c
			}
		}
	}
	w.now, w.begun = t, t
}

// Start lets what is there settle.
func (w *World) Start() (Step, error) {
	return w.inStep(StartEvent, w.settle)
}

// Do lets one event happen.
func (w *World) Do(e Event) (Step, error) {
	return w.inStep(e.Text, func() error {
		if err := w.happen(e); err != nil {
			return fmt.Errorf("event %q: %w", e.Text, err)
		}
		return nil
	})
}

// inStep makes a step of what do does.
func (w *World) inStep(text string, do func() error) (Step, error) {
	before := w.homes()
	w.step = newRecorder(before)
	if err := do(); err != nil {
		return Step{}, err
	}
	homes := w.homes()
	placement, unplaced := w.picture(homes)
	for _, key := range slices.SortedFunc(maps.Keys(before), compareKeys) {
		if w.balanced(key) || len(homes[key]) > 0 {
			continue
		}
		reason, message := w.lossOf(before[key][0], unplaced[key.String()])
		w.step.lost(key, before[key][0], reason, message, w.stays(key))
	}
	w.rebalanced(before, homes)
	step := Step{Event: text, Quorate: w.quorate, Actions: w.step.actions, Placement: placement, Unplaced: unplaced}
	if step.Actions == nil {
		step.Actions = []Action{}
	}
	w.step = &recorder{}
	return step, nil
}

func compareKeys(a, b model.GroupKey) int {
	switch {
	case a.String() < b.String():
		return -1
	case a == b:
		return 0
	}
	return 1
}

// stays says that the group is still on its node, though not online.
func (w *World) stays(key model.GroupKey) bool {
	g := w.Group(key)
	return g != nil && w.quorate && len(w.runners(g)) > 0
}

func (w *World) balanced(key model.GroupKey) bool {
	g := w.Group(key)
	return g != nil && snapshot.Balanced(g) || w.step.changes[key] != nil
}

// rebalanced tells on which nodes groups of mode LoadBalanced have come online, and where they are not any more.
func (w *World) rebalanced(before, homes map[model.GroupKey][]string) {
	keys := map[model.GroupKey]bool{}
	for _, m := range []map[model.GroupKey][]string{before, homes} {
		for key := range m {
			keys[key] = w.balanced(key)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(keys), compareKeys) {
		if !keys[key] {
			continue
		}
		for _, node := range before[key] {
			if !slices.Contains(homes[key], node) && w.step.last[key] != Fail {
				w.step.add(w.memberLost(key, node), key)
			}
		}
		for _, node := range homes[key] {
			if !slices.Contains(before[key], node) {
				w.step.add(Action{Group: key.String(), Action: Online, To: node, Reason: w.step.reasonOn(key, node), Message: w.step.notes[key]}, key)
			}
		}
	}
}

// memberLost is a node on which a group of mode LoadBalanced is not online any more.
func (w *World) memberLost(key model.GroupKey, node string) Action {
	a := Action{Group: key.String(), Action: Offline, From: node}
	a.Reason, a.Message = w.lossOf(node, Unplaced{Reason: w.step.reasonOn(key, node), Message: w.step.notes[key]})
	if g := w.Group(key); g != nil && w.quorate && slices.ContainsFunc(w.runners(g), func(h *host) bool { return h.name == node }) {
		a.Action, a.Reason, a.Message = Fail, string(model.ReasonResourceFailed), "a resource of the group has failed on "+node+"; its other nodes go on"
	}
	return a
}

// lossOf says why a group is not online any more where it was.
func (w *World) lossOf(node string, u Unplaced) (reason, message string) {
	h := w.host(node)
	switch {
	case !w.quorate:
		return string(model.ReasonNoQuorum), w.votesText()
	case h == nil || !h.up:
		message = node + " is down"
		if u.Message != "" {
			message += "; " + u.Message
		}
		return string(model.ReasonNodeDown), message
	}
	return u.Reason, u.Message
}

func (w *World) happen(e Event) error {
	switch e.Kind {
	case NodeDown, NodeUp:
		w.power(e.Nodes, e.Kind == NodeUp)
	case Drain:
		w.setAvailability(e.Nodes[0], v1alpha1.AvailabilityDrained)
	case Resume:
		w.setAvailability(e.Nodes[0], v1alpha1.AvailabilityAvailable)
	case ResourceFail:
		w.fail(e.Namespace, e.Name)
	case MoveGroup:
		w.move(model.GroupKey{Namespace: e.Namespace, Name: e.Name}, e.Nodes[0])
	case Apply:
		before := slices.Clone(w.objects.Resources)
		w.apply(e.Objects)
		w.changed(before)
	case Delete:
		before := slices.Clone(w.objects.Resources)
		if err := w.delete(e); err != nil {
			return err
		}
		w.changed(before)
	case Wait:
		return w.until(w.now.Add(e.Wait))
	case At:
		if e.At.Before(w.now) {
			return fmt.Errorf("it is %s already: time does not go back", w.now.Format(time.RFC3339))
		}
		return w.until(e.At)
	}
	if err := w.settle(); err != nil {
		return err
	}
	if w.leave() {
		w.regroup()
		return w.settle()
	}
	return nil
}

// power switches hosts off or on, all at one moment.
func (w *World) power(nodes []string, up bool) {
	changed := false
	for _, name := range nodes {
		if h := w.host(name); h != nil && h.up != up {
			if h.up = up; up {
				h.reaches = true
				h.begin()
			}
			changed = true
		}
	}
	if changed {
		w.regroup()
	}
}

func (w *World) setAvailability(node string, a v1alpha1.Availability) {
	for i, n := range w.objects.Nodes {
		if n.Name == node {
			c := *n
			c.Spec.Availability = a
			w.objects.Nodes[i] = &c
		}
	}
}

func (w *World) move(key model.GroupKey, target string) {
	for i, g := range w.objects.Groups {
		if snapshot.Key(g) == key {
			c := *g
			c.Annotations = maps.Clone(g.Annotations)
			if c.Annotations == nil {
				c.Annotations = map[string]string{}
			}
			c.Annotations[v1alpha1.MoveToAnnotation] = target
			w.objects.Groups[i] = &c
		}
	}
}

// fail lets a resource fail once where it is online (A09 to A12). One that is not online cannot fail.
func (w *World) fail(namespace, name string) {
	for i, r := range w.objects.Resources {
		if r.Namespace != namespace || r.Name != name {
			continue
		}
		g := w.Group(snapshot.GroupKeyOf(r))
		if g == nil {
			return
		}
		for _, h := range w.runners(g) {
			// Of a group of mode LoadBalanced it fails on the first of its nodes.
			if state, _ := stateOn(g, r, h); state == v1alpha1.ResourceOnline && w.quorate {
				w.failOn(i, g, h)
				return
			}
		}
		return
	}
}

func (w *World) failOn(i int, g *v1alpha1.ResourceGroup, h *host) {
	r := w.objects.Resources[i]
	timing := snapshot.Timing(r, w.objects.Cluster)
	recent, again := timing.Restart.InPlace(w.restarts[failureKey(g, r, h)], w.now.Sub(w.begun))
	w.restarts[failureKey(g, r, h)] = recent
	action := Action{Group: snapshot.Key(g).String(), Action: Restart, From: h.name, To: h.name, Reason: string(model.ReasonResourceFailed)}
	if again {
		action.Message = fmt.Sprintf("resource %s failed on %s and is restarted there: restart %d of %d within %s", r.Name, h.name,
			len(recent), timing.Restart.Threshold, timing.Restart.Period)
		w.step.add(action, snapshot.Key(g))
		return
	}
	w.setResource(g, i, v1alpha1.ResourceFailed, h, snapshot.AssignmentFor(g, h.name).Epoch)
	if timing.Restart.Policy == lifecycle.RestartAlways {
		l := h.local(string(g.UID))
		l.Failing, l.FailedAt = r.Name, w.now
		return
	}
	w.given[failureKey(g, r, h)] = time.Time{}
	action.Action, action.To = Fail, ""
	action.Message = fmt.Sprintf("resource %s failed on %s and stays failed: its restart policy is %s", r.Name, h.name, timing.Restart.Policy)
	if timing.RetryPeriod > 0 && timing.Restart.Policy != lifecycle.RestartNever {
		w.given[failureKey(g, r, h)] = w.now.Add(timing.RetryPeriod)
		action.Message += ", and its restarts are used up"
	}
	w.step.add(action, snapshot.Key(g))
}
