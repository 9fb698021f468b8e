package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// MemberChange is one change to the members of a group of mode LoadBalanced.
type MemberChange struct {
	Node string
	Kind ChangeKind
	// Epoch is the member's, or that of its withdrawal; for Drop the one that the entry had.
	Epoch  model.Epoch
	Reason model.Reason
}

// ChangeKind says what happens to a member.
type ChangeKind string

// Kinds of changes to members.
const (
	// AddMember gives the group to the node as well.
	AddMember ChangeKind = "Add"
	// RaiseMember gives it to the same life of the node again at a higher epoch: what runs goes on, what has failed is tried again.
	RaiseMember ChangeKind = "Raise"
	// WithdrawMember takes the group from the node (O1).
	WithdrawMember ChangeKind = "Withdraw"
	// DropMember removes the entry of a withdrawn member that is known to be offline.
	DropMember ChangeKind = "Drop"
)

// membership is the plan for one group of mode LoadBalanced: what becomes of each member, and which nodes are added.
type membership struct {
	p       *planner
	g       *groupState
	stop    model.Reason // why the group is to be offline, "" when it is not
	hold    *groupState  // a group that depends on this one and has to stop first
	blocked model.Reason // why no node is added, "" when nodes are
	why     string
	epoch   model.Epoch
	members []model.GroupMember
	changes []MemberChange
	first   MemberChange // the change that names the decision: the first that is not merely the end of an earlier one
	notes   []string
	reason  model.Reason // of the first note
	next    time.Time    // when something is due although nothing changes
	spent   bool         // the epochs are used up
}

// membersStep is stepOf for a group of mode LoadBalanced: nothing, or its turn among the groups that are placed. A group that is
// wanted and nowhere takes its turn too, so that there is something to say of its candidates.
func (p *planner) membersStep(g *groupState) step {
	p.ask(g)
	b := p.balance(g)
	if len(b.changes) > 0 || g.Move != nil || b.stop == "" && !b.present() {
		return stepPlace // and what is to be said is said there: here nobody has counted yet how full the nodes are
	}
	b.tell()
	return stepNone
}

// placeMembers decides about a group of mode LoadBalanced.
func (p *planner) placeMembers(g *groupState) {
	b := p.balance(g)
	for _, c := range b.changes {
		if c.Kind == AddMember { // whatever else changes is counted where it is
			p.occupy(g, p.byName[c.Node])
		}
	}
	b.tell()
	move := b.move()
	switch {
	case len(b.changes) > 0:
		p.decide(g, b.decision(move))
	case move != nil:
		p.decide(g, Decision{Kind: FinishMove, Reason: model.ReasonMoveRefused, Move: move, Note: "the move was refused: " + move.Message})
	}
}

// balance works out the members of the group.
func (p *planner) balance(g *groupState) *membership {
	b := &membership{p: p, g: g, stop: p.stopReason(g), epoch: knownEpoch(g.Group)}
	if b.stop != "" {
		b.hold = p.runningDependent(g)
	}
	b.blocked, b.why = b.obstacle()
	order := make([]int, len(g.Members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, c int) int { // names may not matter
		return cmp.Or(cmp.Compare(g.Members[a].ID, g.Members[c].ID), cmp.Compare(g.Members[a].Generation, g.Members[c].Generation))
	})
	for _, i := range order {
		b.look(&g.Members[i], &p.nodes[g.seats[i]])
	}
	for i := range p.nodes {
		b.offer(&p.nodes[i])
	}
	if len(b.changes) > 0 {
		b.first = b.changes[max(0, slices.IndexFunc(b.changes, func(c MemberChange) bool { return c.Kind != DropMember }))]
	}
	slices.SortFunc(b.members, func(a, c model.GroupMember) int { return strings.Compare(a.Node, c.Node) })
	slices.SortStableFunc(b.changes, func(a, c MemberChange) int { return strings.Compare(a.Node, c.Node) })
	return b
}

// obstacle says why no node is added to the group, or "".
func (b *membership) obstacle() (model.Reason, string) {
	g := b.g
	switch {
	case b.stop != "":
		return b.stop, stopNote(b.stop)
	case g.Invalid != "":
		return model.ReasonInvalid, g.Invalid
	case g.Priority == 0 && !b.startable():
		return model.ReasonPriorityZero, priorityZeroMembers
	}
	if provider := b.p.missingProvider(g); provider != "" {
		return model.ReasonWaitingForGroup, provider
	}
	return "", ""
}

const priorityZeroMembers = "the group has priority 0: it is not started by itself; ask for a move to best, or want it offline and online again"

// startable is A34 for a group that runs on many nodes: with priority 0 it starts when an operator says so, by a move to best or by
// wanting it online after it was wanted offline. Once it runs anywhere, nodes that may take it join it.
func (b *membership) startable() bool {
	g := b.g
	if g.Move != nil && g.Move.Target == best {
		return true
	}
	return b.p.runsSomewhere(g) || g.Assignment.Reason == model.ReasonDesiredOffline
}

// look says what becomes of a member that the group has.
func (b *membership) look(m *model.GroupMember, n *nodeState) {
	p, o := b.p, m.Owner()
	switch {
	case n.Maintenance && p.alive(o):
		b.keep(m)
	case n.member && n.life < m.Generation:
		b.keep(m) // the view that is reported is older than the member
	case m.Withdrawn:
		b.leaving(m)
	case p.outlived(o):
		b.drop(m, model.ReasonRestarted)
	case !p.alive(o):
		b.withdraw(m, model.ReasonNodeDown)
	case b.stop != "" && b.hold == nil:
		b.withdraw(m, b.stop)
	case b.stop == "" && b.g.Invalid == "" && b.mustLeave(m, n):
		reason := p.refusedBy(keepFilters, b.g, n)
		if reason == model.ReasonNodeDrained {
			reason = model.ReasonDrain
		}
		b.withdraw(m, reason)
	default:
		b.stay(m)
	}
}

// stay goes on with a member that is where it should be.
func (b *membership) stay(m *model.GroupMember) {
	r := b.report(m.ID, m.Generation)
	switch {
	case r == nil:
		b.keep(m)
	case r.Running > m.Epoch:
		b.raise(m, model.ReasonAdopted)
	case max(r.Floor, r.Released) > m.Epoch:
		b.raise(m, model.ReasonEpochRaised)
	case r.FailoverWanted != "" && r.FailoverEpoch == m.Epoch:
		b.failed(m, r)
	default:
		b.keep(m)
	}
}

// failed answers a resource that failed on the member's node past its restarts. There is no other node for it to go to, since all
// that may take the group have it; so it is tried again in place, RetryPeriod after the failure.
func (b *membership) failed(m *model.GroupMember, r *model.OwnerReport) {
	p, g := b.p, b.g
	since := r.FailedAt
	if since.IsZero() {
		since = m.Time
	}
	text := "resource " + r.FailoverWanted + " failed on " + m.Node
	due := since.Add(g.RetryPeriod)
	switch {
	case b.stop != "" || g.Invalid != "":
		b.keep(m)
	case g.Priority == 0:
		b.note(model.ReasonPriorityZero, text+", and a group of priority 0 is not started by itself")
		b.keep(m)
	case g.RetryPeriod <= 0:
		b.note(model.ReasonResourceFailed, text+"; it is not retried")
		b.keep(m)
	case due.After(p.now) && !backOn(p.nodes[p.byName[m.Node]].Node, r):
		b.lookAgain(due)
		b.note(model.ReasonResourceFailed, text+"; it is retried "+g.RetryPeriod.String()+" after the failure")
		b.keep(m)
	default:
		b.raise(m, model.ReasonRetry)
	}
}

// mustLeave says that the node may not keep the group, and that the group stays served without it: somebody else is online. As with a
// group that fails over, the last node keeps it until another may take it: stopping it would help nobody.
func (b *membership) mustLeave(m *model.GroupMember, n *nodeState) bool {
	p, g := b.p, b.g
	if p.refusedBy(keepFilters, g, n) == "" {
		return false
	}
	others := b.blocked == "" && slices.ContainsFunc(p.nodes, func(o nodeState) bool { return p.mayTake(g, &o) })
	for i := range g.Members {
		o, at := &g.Members[i], &p.nodes[g.seats[i]]
		if o.Withdrawn || !p.alive(o.Owner()) || p.refusedBy(keepFilters, g, at) != "" {
			continue
		}
		if others = true; serving(g, o) {
			return true
		}
	}
	switch {
	case !others:
		b.note(model.ReasonNoCandidate, "the group has to leave "+n.Name+", but no other node may take it")
	case !serving(g, m):
		return true
	default:
		b.note(model.ReasonWaitingForMember, "the group leaves "+n.Name+" as soon as it is online on another node")
	}
	return false
}

// leaving looks after a withdrawn member: it goes when it is offline as far as anyone can know.
func (b *membership) leaving(m *model.GroupMember) {
	p := b.p
	r := b.report(m.ID, m.Generation)
	switch {
	case p.outlived(m.Owner()):
		b.drop(m, model.ReasonRestarted)
	case r != nil && r.Released >= m.Epoch && r.Running == 0:
		b.drop(m, model.ReasonReleased)
	case p.alive(m.Owner()) && r != nil && r.Running >= m.Epoch:
		b.withdraw(m, m.Reason) // it runs at an epoch that the withdrawal does not reach: the API has lost something (O6)
	case p.alive(m.Owner()):
		if b.stop != "" {
			b.note(model.ReasonWaitingForStop, lifeText(m.Node, m.Generation)+" has not yet released the group")
		}
		b.keep(m)
	default:
		b.lost(m)
	}
}

// lost keeps the entry of a node that is in no view until it counts as stopped. Nobody takes over on the strength of that: the entry
// only holds the deletion of the group back (O11), and shows where the group was lost.
func (b *membership) lost(m *model.GroupMember) {
	due := m.Time.Add(OrphanWait)
	if v := b.p.s.View.Installed.Add(OrphanWait); v.After(due) {
		due = v
	}
	if !due.After(b.p.now) {
		b.drop(m, model.ReasonReleased)
		return
	}
	b.lookAgain(due)
	if b.stop != "" {
		b.note(model.ReasonWaitingForStop, m.Node+" is in no view; its self-fence deadline is waited for")
	}
	b.keep(m)
}

// offer gives the group to a node that may take it and does not have it.
func (b *membership) offer(n *nodeState) {
	p, g := b.p, b.g
	at := slices.IndexFunc(b.members, func(m model.GroupMember) bool { return m.Node == n.Name })
	if n.ghost || !n.member || at >= 0 && !b.resumable(&b.members[at], n) {
		return
	}
	r := b.report(n.ID, n.life)
	runs := r != nil && r.Running > 0
	switch {
	case at < 0 && runs && !n.Maintenance: // nobody knew of it (O6)
		m := model.GroupMember{Node: n.Name, ID: n.ID, Generation: n.life}
		if b.stop != "" || p.refusedBy(keepFilters, g, n) != "" {
			b.withdraw(&m, model.ReasonAdopted)
			return
		}
		b.raise(&m, model.ReasonAdopted)
	case b.blocked == "" && p.mayTake(g, n):
		reason := model.ReasonMemberAdded
		if len(g.Members) == 0 {
			reason = model.ReasonFirstPlacement
		}
		m := model.GroupMember{Node: n.Name, ID: n.ID, Generation: n.life}
		if at >= 0 && b.epoch < model.MaxEpoch { // it is taking the group offline, and goes on with it instead
			b.members = slices.Delete(b.members, at, at+1)
			b.changes = slices.DeleteFunc(b.changes, func(c MemberChange) bool { return c.Node == n.Name })
		}
		b.give(m, AddMember, reason)
	}
}

// resumable says that the entry is a withdrawal that this very life of the node has been told of.
func (b *membership) resumable(m *model.GroupMember, n *nodeState) bool {
	return m.Withdrawn && m.ID == n.ID && m.Generation == n.life
}

func (b *membership) report(id model.NodeID, life model.Generation) *model.OwnerReport {
	for i := range b.g.Reports {
		if r := &b.g.Reports[i]; r.ID == id && r.Generation == life {
			return r
		}
	}
	return nil
}

func (b *membership) keep(m *model.GroupMember) { b.members = append(b.members, *m) }

func (b *membership) drop(m *model.GroupMember, reason model.Reason) {
	b.changes = append(b.changes, MemberChange{Node: m.Node, Kind: DropMember, Epoch: m.Epoch, Reason: reason})
}

func (b *membership) raise(m *model.GroupMember, reason model.Reason) {
	b.give(*m, RaiseMember, reason)
}

func (b *membership) withdraw(m *model.GroupMember, reason model.Reason) {
	b.give(*m, WithdrawMember, reason)
}

// give writes the member at the next epoch. When there is none left the member stays as it is (O7).
func (b *membership) give(m model.GroupMember, kind ChangeKind, reason model.Reason) {
	if b.epoch >= model.MaxEpoch {
		b.spent = true
		if m.Epoch > 0 { // it was a member before
			b.members = append(b.members, m)
		}
		return
	}
	b.epoch++
	m.Epoch, m.View, m.Reason, m.Time, m.Withdrawn = b.epoch, b.p.s.View.ID, reason, b.p.now, kind == WithdrawMember
	b.members = append(b.members, m)
	b.changes = append(b.changes, MemberChange{Node: m.Node, Kind: kind, Epoch: m.Epoch, Reason: reason})
}

func (b *membership) note(reason model.Reason, text string) {
	if b.reason == "" {
		b.reason = reason
	}
	b.notes = append(b.notes, text)
}

func (b *membership) lookAgain(t time.Time) {
	if b.next.IsZero() || t.Before(b.next) {
		b.next = t
	}
}

// present says that some living node has the group and is to keep it.
func (b *membership) present() bool {
	return slices.ContainsFunc(b.members, func(m model.GroupMember) bool { return !m.Withdrawn && b.p.alive(m.Owner()) })
}
