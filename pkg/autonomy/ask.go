package autonomy

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/explain"
	"github.com/quorate/quorate/pkg/replica"
)

const (
	// VerbExplain asks for the verdicts on a group's places. It changes nothing, and is in no journal.
	VerbExplain replica.Verb = "explain"
	// askAgain is how often what is not answered is asked again.
	askAgain = 200 * time.Millisecond
	// MaxAsks is how much may be asked at a time on one member.
	MaxAsks = 32
)

// Ask is what an operator asks on a member's host. The member tells the coordinator until it is answered; it forgets it when its process
// ends, and the operator sees that nothing answers.
type Ask struct {
	// ID is the command's, as replica.CheckRequestID wants it: asked again with the same one, nothing more happens.
	ID   string       `json:"id"`
	Verb replica.Verb `json:"verb"`
	// Namespace and Name are of a group, or Name is of a node. Without a namespace the only group of that name is meant.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Target is where a group is to go: the name of a node, or best.
	Target string `json:"target,omitempty"`
	// Failback is what a node that is resumed is to have as failbackOnResume; empty leaves it.
	Failback string        `json:"failback,omitempty"`
	By       replica.Asker `json:"by"`
	Time     time.Time     `json:"time"`
}

// Reply is the answer. Exactly one of the fields beside ID is set.
type Reply struct {
	ID string `json:"id"`
	// Refused says why nothing is changed.
	Refused string `json:"refused,omitempty"`
	// Entry is what the request has become: it is on the disks of all members of the view.
	Entry *replica.Entry `json:"entry,omitempty"`
	// Explained answers VerbExplain.
	Explained *explain.Explained `json:"explained,omitempty"`
}

// Answered is a request that this node has answered as the coordinator, for its log.
type Answered struct {
	Ask   Ask
	Reply Reply
}

// Ask has the coordinator asked, until a Reply is in Out or Withdraw is called.
func (m *Machine) Ask(now time.Duration, a Ask) {
	if len(m.asks) >= MaxAsks {
		m.out.Replies = append(m.out.Replies, Reply{ID: a.ID, Refused: fmt.Sprintf("%d requests wait on this host already: try again", len(m.asks))})
		return
	}
	if !slices.ContainsFunc(m.asks, func(o Ask) bool { return o.ID == a.ID }) {
		m.asks = append(slices.Clip(m.asks), a)
	}
	m.asked = now - askAgain
	m.Tick(now)
}

// Withdraw says that nobody waits for the answer any more. What the coordinator has heard of may still be done.
func (m *Machine) Withdraw(id string) {
	m.asks = slices.DeleteFunc(slices.Clone(m.asks), func(a Ask) bool { return a.ID == id })
}

// askOn repeats what is not answered.
func (m *Machine) askOn(now time.Duration) {
	if len(m.asks) > 0 && now-m.asked >= askAgain {
		m.asked = now
		m.answer()
	}
}

// hear takes answers.
func (m *Machine) hear(replies []Reply) {
	for _, r := range replies {
		if before := len(m.asks); before > 0 {
			if m.Withdraw(r.ID); len(m.asks) < before {
				m.out.Replies = append(m.out.Replies, r)
			}
		}
	}
}

// obey notes which of the entries that are in force now were asked for here.
func (m *Machine) obey(entries []replica.Entry) {
	for i := range entries {
		if e := &entries[i]; e.Request != nil {
			m.hear([]Reply{{ID: e.Request.ID, Entry: e}})
		}
	}
}

// Hold is why nothing is decided in this node's view now.
type Hold string

// Reasons why nothing is decided.
const (
	// HoldReached: a member of the view reaches an API server.
	HoldReached Hold = "APIReached"
	// HoldDisabled: the Cluster does not allow it.
	HoldDisabled Hold = "AutonomyDisabled"
	// HoldNoQuorum: the node is in no view that may act.
	HoldNoQuorum Hold = "NoQuorum"
	// HoldWitness: the view needs the vote of the witness, which does not keep the journal.
	HoldWitness Hold = "NeedsWitness"
	// HoldSession: the session is not complete yet. It passes by itself.
	HoldSession Hold = "Waiting"
)

// Holds says why nothing is decided in this node's view now, in a code and a sentence; empty when what is asked will be answered.
func (m *Machine) Holds(now time.Duration) (Hold, string) {
	st, f := &m.st, m.follow
	switch {
	case m.anyReaches():
		return HoldReached, "an API server is reached, so nothing is decided on the hosts"
	case !m.cfg.Decides:
		return HoldDisabled, "the Cluster does not allow decisions without the API server (spec.autonomy is not Enabled)"
	case !st.Acting || st.View == nil || now >= st.ActingUntil:
		return HoldNoQuorum, "this node is in no quorate view: see quorate-agent quorum status"
	case m.needsWitness() && m.WitnessTrouble() != "":
		return HoldWitness, "this view needs the vote of the witness, and nothing may be decided by it (rule J9): " + m.WitnessTrouble()
	case f == nil || f.session.View != st.View.ID:
		return HoldSession, "the view's coordinator has not opened a session yet"
	case !f.begun:
		return HoldSession, "not every member of the view has joined the session yet"
	}
	return "", ""
}
