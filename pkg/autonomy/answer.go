package autonomy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/explain"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/nearest"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// movesLeft is how many epochs a group must still have in this session for another move: its two steps, and a failover.
const movesLeft = 3

// asking says that something is asked that has no answer yet.
func (l *lead) asking() bool {
	for _, o := range l.members {
		if slices.ContainsFunc(o.asks, func(a Ask) bool { _, answered := l.replies[a.ID]; return !answered }) {
			return true
		}
	}
	return false
}

// repliesTo are the answers that a member waits for. What was taken it finds in the journal, when it is in force.
func (l *lead) repliesTo(o *member) []Reply {
	var list []Reply
	for _, a := range o.asks {
		if r, answered := l.replies[a.ID]; answered && r.Entry == nil {
			list = append(list, r)
		}
	}
	return list
}

// reply answers all that is asked. What is taken becomes the next entries: the round after they are in force decides what follows.
func (m *Machine) reply(now time.Duration) {
	l, wall := m.lead, m.cfg.Boot.Add(now)
	asked := l.base // with what is asked in this turn
	for _, o := range m.st.View.Members {
		for _, a := range l.members[o.ID].asks {
			if _, answered := l.replies[a.ID]; answered {
				continue
			}
			r := Reply{ID: a.ID}
			entry, err := l.logged(a.ID), error(nil)
			switch {
			case entry != nil:
				r.Entry = entry // asked of an earlier coordinator, who wrote it down before this one took over
			case a.Verb == VerbExplain:
				r.Explained, err = m.explain(&a, wall)
			default:
				if entry, err = l.request(asked, &a, wall); err == nil {
					l.number++
					entry.ID = replica.EntryID{View: l.session.View, Session: l.session.Serial, Number: l.number}
					l.log = append(slices.Clip(l.log), *entry)
					asked = asked.Apply([]replica.Entry{*entry})
					r.Entry = entry
				}
			}
			if err != nil {
				r.Refused = err.Error()
			}
			l.replies[a.ID] = r
			m.out.Answered = append(m.out.Answered, Answered{Ask: a, Reply: r})
		}
	}
}

// logged finds a request in the journal.
func (l *lead) logged(id string) *replica.Entry {
	at := slices.IndexFunc(l.log, func(e replica.Entry) bool { return e.Request != nil && e.Request.ID == id })
	if at < 0 {
		return nil
	}
	return &l.log[at]
}

// request makes the entry of what is asked, or says why not.
func (l *lead) request(c *replica.Copy, a *Ask, wall time.Time) (*replica.Entry, error) {
	e := &replica.Entry{Time: wall, Request: &replica.Request{ID: a.ID, Verb: a.Verb, By: a.By, Asked: a.Time}}
	var err error
	if a.Verb.AboutNode() {
		err = aboutNode(e, c, a)
	} else {
		err = l.aboutGroup(e, c, a)
	}
	if err == nil {
		err = e.Check()
	}
	if err != nil {
		return nil, err
	}
	e.Events = []status.Event{{Reason: "AskedOnHost", Action: action(a.Verb), Note: sentence(a)}}
	return e, nil
}

// sentence tells of what is asked, for an Event.
func sentence(a *Ask) string {
	what := map[replica.Verb]string{
		replica.VerbMove:    "moved to " + a.Target,
		replica.VerbOnline:  "online",
		replica.VerbOffline: "offline",
		replica.VerbDrain:   "drained",
		replica.VerbResume:  "resumed",
	}[a.Verb]
	if a.Failback != "" {
		what += " with failback " + a.Failback
	}
	return fmt.Sprintf("%s wants it %s; no API server was reached at that time", a.By, what)
}

func action(v replica.Verb) string {
	return map[replica.Verb]string{
		replica.VerbMove: "Move", replica.VerbOnline: "Online", replica.VerbOffline: "Offline", replica.VerbDrain: "Drain", replica.VerbResume: "Resume",
	}[v]
}

func aboutNode(e *replica.Entry, c *replica.Copy, a *Ask) error {
	n, err := node(c, a.Name)
	if err != nil {
		return err
	}
	e.Name, e.UID = n.Name, string(n.UID)
	change := func(f replica.Field, to string) {
		e.Request.Changes = append(e.Request.Changes, replica.Change{Field: f, From: replica.Get(n, f), To: to})
	}
	if a.Verb == replica.VerbDrain {
		change(replica.FieldAvailability, string(v1alpha1.AvailabilityDrained))
		return nil
	}
	change(replica.FieldAvailability, string(v1alpha1.AvailabilityAvailable))
	if a.Failback != "" {
		if err := CheckFailback(a.Failback); err != nil {
			return err
		}
		change(replica.FieldFailbackOnResume, a.Failback)
	}
	return nil
}

// CheckFailback says what is wrong with a value for failbackOnResume.
func CheckFailback(value string) error {
	known := []string{string(v1alpha1.FailbackOnResumeNone), string(v1alpha1.FailbackOnResumeImmediate), string(v1alpha1.FailbackOnResumePolicy)}
	if slices.Contains(known, value) {
		return nil
	}
	return fmt.Errorf("failback %q is not known%s", value, nearest.Hint(value, known))
}

func node(c *replica.Copy, name string) (*v1alpha1.Node, error) {
	names := make([]string, 0, len(c.Nodes))
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return nil, fmt.Errorf("there is no node %q%s", name, nearest.Hint(name, names))
}

// aboutGroup leaves to policy what policy decides: it refuses only what could not be said to the API server either, and what no journal
// can decide.
func (l *lead) aboutGroup(e *replica.Entry, c *replica.Copy, a *Ask) error {
	g, err := group(c, a)
	if err != nil {
		return err
	}
	uid := string(g.UID)
	start, known := l.starts[uid]
	switch {
	case snapshot.Balanced(g):
		return fmt.Errorf("group %s/%s has mode LoadBalanced: those stay as they are until the API server is back", g.Namespace, g.Name)
	case g.DeletionTimestamp != nil:
		return fmt.Errorf("group %s/%s is being deleted", g.Namespace, g.Name)
	case known && replica.EpochOf(g) > start+epochsEach-movesLeft:
		return fmt.Errorf("group %s/%s has changed hands %d times since the API server was lost: it stays where it is until that is back, or the view changes",
			g.Namespace, g.Name, replica.EpochOf(g)-start)
	}
	e.Namespace, e.Name, e.UID = g.Namespace, g.Name, uid
	change := replica.Change{Field: replica.FieldDesiredState, From: replica.Get(g, replica.FieldDesiredState)}
	switch a.Verb {
	case replica.VerbMove:
		if a.Target != v1alpha1.MoveToBest {
			if _, err := node(c, a.Target); err != nil {
				return err
			}
		}
		change = replica.Change{Field: replica.FieldMove, From: replica.Get(g, replica.FieldMove), To: a.Target + "/" + a.ID}
	case replica.VerbOnline:
		change.To = string(v1alpha1.DesiredOnline)
	case replica.VerbOffline:
		change.To = string(v1alpha1.DesiredOffline)
	default:
		return fmt.Errorf("the coordinator does not know %q: is its agent of another version?", a.Verb)
	}
	e.Request.Changes = []replica.Change{change}
	return nil
}

func group(c *replica.Copy, a *Ask) (*v1alpha1.ResourceGroup, error) {
	keys := make([]model.GroupKey, 0, len(c.Groups))
	for _, g := range c.Groups {
		keys = append(keys, snapshot.Key(g))
	}
	key, err := explain.Find(keys, a.Namespace, a.Name)
	if err != nil {
		return nil, err
	}
	return c.Groups[slices.Index(keys, key)], nil
}

// explain says of every node why the group is, or is not, or may not be there.
func (m *Machine) explain(a *Ask, wall time.Time) (*explain.Explained, error) {
	o := m.objects()
	if o.Cluster == nil {
		return nil, errors.New("nobody in this view has a copy of the cluster's state")
	}
	g, err := group(m.lead.base, a)
	if err != nil {
		return nil, err
	}
	round := decision.NewRound(o, m.st.View.ID.Number+1, wall)
	key := snapshot.Key(g)
	return explain.Of(round.Snapshot, key, round.Plan, policy.Explain(round.Snapshot, key, wall)), nil
}
