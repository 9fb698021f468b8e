package autonomy

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

const (
	// epochJump is by how much the epochs of a view are above those of the view before. 28 bits of epoch last for 500,000 views.
	epochJump = 512
	// epochsEach is how many epochs a group gets in one session, well below epochJump: then it waits for the next view or the API server.
	epochsEach = 128
)

// startsOf gives, for each group, the epoch above which a view's own begin.
func startsOf(c *replica.Copy, view uint64) map[string]int64 {
	starts := make(map[string]int64, len(c.Groups))
	for _, g := range c.Groups {
		epoch, since := int64(0), int64(0)
		if a := g.Status.Assignment; a != nil {
			epoch, since = a.Epoch, a.ViewID.Number
		}
		views := min(max(1, int64(view)-since), int64(model.MaxEpoch)/epochJump)
		starts[string(g.UID)] = min(epoch+views*epochJump, int64(model.MaxEpoch))
	}
	return starts
}

// mayDecide says that this node may decide now. In a view that needs the vote of the witness, what it keeps must have been read, and it
// must be able to keep what is decided.
func (m *Machine) mayDecide(now time.Duration) bool {
	st := &m.st
	switch {
	case !m.cfg.Decides || !st.Acting || now >= st.ActingUntil || m.anyReaches() || now-m.reached < m.cfg.Wait && enforced(ruleWait):
		return false
	case m.needsWitness() && (m.lead.kept == nil || !m.lead.kept.Begun || m.lead.kept.Trouble != ""):
		return false
	case !enforced(ruleJoined):
		return true
	}
	return m.lead.all(func(o *member) bool { return o.report != nil })
}

// decide makes one round and adds what follows to the log; it reports whether anything did.
func (m *Machine) decide(now time.Duration) bool {
	l, wall := m.lead, m.cfg.Boot.Add(now)
	l.due = false
	o := m.objects()
	// A view number above the present one is that of an API server that has gone back in time (O6): nothing is decided before all members
	// have reported, and a node that is not in the view may have run anything.
	highest := m.st.View.ID.Number + 1
	if !enforced(ruleUnreported) {
		highest = 0
	}
	round := decision.NewRound(o, highest, wall)
	l.look = 0
	if next := round.Next(); next > 0 {
		l.look = now + next
	}
	var entries []replica.Entry
	add := func(i int, decided bool) {
		if e := m.entry(round, i, wall); e != nil && e.Decided == decided {
			entries = append(entries, *e)
		}
	}
	index := make(map[string]int, len(o.Groups))
	for i, g := range o.Groups {
		index[string(g.UID)] = i
	}
	for i := range round.Plan.Decisions {
		if at, found := index[round.Plan.Decisions[i].UID]; found {
			add(at, true)
		}
	}
	for i := range o.Groups {
		add(i, false)
	}
	for i := range entries {
		l.number++
		entries[i].ID = replica.EntryID{View: l.session.View, Session: l.session.Serial, Number: l.number}
	}
	l.log = append(slices.Clip(l.log), entries...)
	return len(entries) > 0
}

// entry is what the round makes of the i-th group; nil for nothing.
func (m *Machine) entry(round *decision.Round, i int, wall time.Time) *replica.Entry {
	g := round.Objects.Groups[i]
	if snapshot.Balanced(g) {
		return nil // the journal knows one assignment of a group, not those of its members: it stays as it is
	}
	d := round.Decision(snapshot.Key(g))
	after := round.Status(g, i, d)
	if d == nil && !tells(&g.Status, after) {
		return nil
	}
	uid := string(g.UID)
	if start, known := m.lead.starts[uid]; known && after.Assignment != nil && after.Assignment.Epoch > start+epochsEach {
		return nil
	}
	e := &replica.Entry{
		Time: wall, Namespace: g.Namespace, Name: g.Name, UID: uid, Status: after, Decided: d != nil,
		Events: status.GroupEvents(&g.Status, after, d),
	}
	if d != nil && d.Move != nil {
		e.Move = g.Annotations[v1alpha1.MoveToAnnotation]
	}
	return e
}

// tells says that a change of status is worth an entry: conditions and candidates are computed anew by whoever looks.
func tells(before, after *v1alpha1.ResourceGroupStatus) bool {
	a, b := *before, *after
	a.Conditions, b.Conditions, a.Candidates, b.Candidates = nil, nil, nil, nil
	return !equality.Semantic.DeepEqual(&a, &b)
}

// objects are the cluster as the session knows it: what is committed, with what the members report now.
func (m *Machine) objects() *snapshot.Objects {
	l := m.lead
	o := l.base.Objects(m.cfg.Cluster)
	o.Fresh, o.Reporter = true, m.cfg.Node
	said := map[string]*v1alpha1.ResourceStatus{}
	for i, n := range o.Nodes {
		member := l.members[model.NodeID(n.Status.ID)]
		c := *n
		c.Status.Agent = nil
		if n.Status.Agent != nil {
			agent := *n.Status.Agent
			agent.View = nil
			c.Status.Agent = &agent
		}
		if member != nil && member.report != nil {
			agent := *member.report.Agent
			agent.View = nil
			if c.Name == m.cfg.Node {
				agent.View = m.view()
			}
			c.Status.Agent = &agent
			for j := range member.report.Resources {
				r := &member.report.Resources[j]
				if best := said[r.UID]; best == nil || best.Epoch < r.Status.Epoch {
					said[r.UID] = &r.Status
				}
			}
		}
		o.Nodes[i] = &c
	}
	for i, r := range o.Resources {
		if now := said[string(r.UID)]; now != nil && now.Epoch >= r.Status.Epoch {
			c := *r
			c.Status = *now
			c.Status.Conditions = r.Status.Conditions
			o.Resources[i] = &c
		}
	}
	for i, g := range o.Groups {
		if start := l.starts[string(g.UID)]; start > g.Status.EpochFloor {
			c := *g
			c.Status.EpochFloor = start
			o.Groups[i] = &c
		}
	}
	o.Sort()
	return o
}

// view is the view as its reporter would publish it: all members take part.
func (m *Machine) view() *v1alpha1.AgentView {
	v := &v1alpha1.AgentView{
		ID: snapshot.APIViewID(m.st.View.ID), Quorate: true, InstalledAt: &metav1.MicroTime{Time: m.cfg.Boot.Add(m.st.ViewSince).Truncate(time.Microsecond)},
	}
	if m.st.Committed != nil {
		v.ID.Record = int64(m.st.Committed.Number)
	}
	for _, o := range m.st.View.Members {
		v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: int32(o.ID), Generation: int64(o.Generation), ReachesAPI: true})
	}
	return v
}
