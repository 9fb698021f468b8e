package membership

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// One test per sentence of the protocol that can be shown with a few machines. The rules' worth is shown by test/sim.

// R1: a grant counts for T from when this node sent the datagram that it grants.
func TestR1GrantCountsFromSending(t *testing.T) {
	c := newCluster(t, 3).form()
	m := c.machines[1]
	sent := m.v.Sent[len(m.v.Sent)-1]
	c.isolate(1, true)
	c.run(100 * time.Millisecond)
	for _, p := range c.status(1).Peers {
		if p.GrantUntil > sent.At+time.Second {
			t.Errorf("grant of %d counts until %v, more than T after the sending at %v", p.ID, p.GrantUntil, sent.At)
		}
	}
	if until := c.status(1).KeepingUntil; until > sent.At+time.Second {
		t.Errorf("keeping until %v, want at most %v", until, sent.At+time.Second)
	}
}

// R1: nobody installs a view without a granted peer before T' after its last datagram.
func TestR1PromiseHoldsBackTheView(t *testing.T) {
	c := newCluster(t, 3).form()
	c.isolate(3, true)
	heard := c.machines[1].peer(3).LastHeard
	c.run(3 * time.Second)
	e, ok := last[ViewInstalled](c, 1)
	if !ok || e.View.Has(3) {
		t.Fatal("no view without node 3")
	}
	if e.At < heard+promiseFor(time.Second) || e.At > heard+promiseFor(time.Second)+10*time.Millisecond {
		t.Errorf("installed at %v, want %v", e.At, heard+promiseFor(time.Second))
	}
	if len(e.Lost) != 1 || e.Lost[0].ID != 3 || e.Lost[0].Silent != e.At-heard {
		t.Errorf("lost %+v, want node 3, silent for %v", e.Lost, e.At-heard)
	}
}

// R1: a granter with a shorter T promises for less, so no more is counted.
func TestR1CountsNoMoreThanTheGranterHolds(t *testing.T) {
	c := newCluster(t, 3).form()
	short := testConfig(2, 3)
	short.Threshold = 2
	if err := c.machines[2].SetConfig(short, c.now); err != nil {
		t.Fatal(err)
	}
	c.run(3 * time.Second)
	sent := c.machines[1].v.Sent
	for _, p := range c.status(1).Peers {
		if p.ID == 2 && p.GrantUntil > sent[len(sent)-1].At+500*time.Millisecond {
			t.Errorf("counts the grant of node 2 until %v", p.GrantUntil)
		}
	}
}

// R2: a start waits T' before it is ready, and longer if it may have promised under a longer T.
func TestR2StartWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		persistent *Persistent
		wait       time.Duration
	}{
		"first start":    {nil, 1030 * time.Millisecond},
		"longer T then":  {&Persistent{Incarnation: 3, LongestHold: 4 * time.Second}, 4120 * time.Millisecond},
		"shorter T then": {&Persistent{Incarnation: 3, LongestHold: 500 * time.Millisecond}, 1030 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := New(testConfig(1, 1), tc.persistent, nil, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			m.SetReady(true, time.Minute)
			m.Tick(time.Minute + tc.wait - 1)
			if m.Status(time.Minute + tc.wait - 1).Ready {
				t.Error("ready too early")
			}
			m.Tick(time.Minute + tc.wait)
			if !m.Status(time.Minute + tc.wait).Ready {
				t.Error("not ready after the wait")
			}
			if m.p.LongestHold != time.Second {
				t.Errorf("a next start would wait for T = %v, want 1s", m.p.LongestHold)
			}
		})
	}
}

// R2: a resumed machine is the same as before.
func TestR2ResumeIsTheSame(t *testing.T) {
	c := newCluster(t, 3).form()
	c.machines[2].Tick(c.now + 250*time.Millisecond)
	c.now += 250 * time.Millisecond
	rd := c.machines[2].Ready()
	p := c.machines[2].p
	m, err := New(testConfig(2, 3), &p, rd.Volatile, c.now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.status(2), m.Status(c.now)); diff != "" {
		t.Errorf("status differs (-before +after):\n%s", diff)
	}
}

// R2, O3: what was burnt on disk is burnt, whatever the memory says; and who has left starts anew.
func TestR2ResumeOfSomethingOver(t *testing.T) {
	for name, tc := range map[string]struct {
		change      func(*Persistent, *Volatile)
		incarnation uint64
	}{
		"burnt on disk only":       {func(p *Persistent, _ *Volatile) { p.Generation++ }, 1},
		"left":                     {func(_ *Persistent, v *Volatile) { v.Left = true }, 2},
		"of an earlier life":       {func(p *Persistent, _ *Volatile) { p.Incarnation, p.Generation = 5, 5 }, 6},
		"none, after a reboot":     {func(_ *Persistent, v *Volatile) { v.Incarnation = 0 }, 2},
		"with a burnt view behind": {func(p *Persistent, v *Volatile) { p.Generation += 2; v.Clean = true }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1).form()
			p, v := c.machines[1].p.clone(), c.machines[1].v.clone()
			tc.change(&p, v)
			m, err := New(testConfig(1, 1), &p, v, c.now)
			if err != nil {
				t.Fatal(err)
			}
			st := m.Status(c.now)
			if st.Keeping || st.View != nil || st.Ready {
				t.Errorf("resumed keeping=%t view=%v ready=%t", st.Keeping, st.View, st.Ready)
			}
			if st.Incarnation != tc.incarnation || st.Self.Generation <= 1 {
				t.Errorf("incarnation %d generation %d, want incarnation %d and a new generation", st.Incarnation, st.Self.Generation, tc.incarnation)
			}
		})
	}
}

// R3: the coordinator numbers above what any member has persisted, and numbers again for a member that has gone past.
func TestR3NumberIsAboveAll(t *testing.T) {
	c := newCluster(t, 3)
	c.machines[3].p.HighestView = 41
	c.form()
	if got := c.status(1).View.ID; got.Number != 42 || got.Coordinator != 1 {
		t.Errorf("view %v, want 42/1", got)
	}
	c.machines[2].p.HighestView = 99
	c.machines[2].v.View, c.machines[2].v.Acted = nil, false
	c.run(time.Second)
	if got := c.status(2).View; got == nil || got.ID.Number != 100 {
		t.Errorf("view %v on a member that had persisted 99, want number 100", got)
	}
}

// R3: a view for another set than the one proposed now, or with a number that has passed, is not adopted.
func TestR3AdoptsOnlyWhatItProposes(t *testing.T) {
	c := newCluster(t, 3).form()
	m := c.machines[3]
	before := m.v.View.Clone()
	msg := c.machines[1].lastMessage(c.now)
	for name, view := range map[string]*View{
		"another set":    {ID: model.ViewID{Number: 50, Coordinator: 1}, Members: before.Members[:2]},
		"a lower number": {ID: model.ViewID{Number: before.ID.Number - 1, Coordinator: 1}, Members: before.Members},
		"not its own":    {ID: model.ViewID{Number: 50, Coordinator: 2}, Members: before.Members},
	} {
		t.Run(name, func(t *testing.T) {
			msg.Sequence++
			msg.View = view
			if err := m.Receive(c.now, &msg); err != nil {
				t.Fatal(err)
			}
			if !m.v.View.Equal(before) {
				t.Errorf("adopted %v", m.v.View)
			}
		})
	}
}

// R5: a tentative record that a member knows binds all, and is committed before another is made.
func TestR5TentativeBindsAndGoesFirst(t *testing.T) {
	c := newCluster(t, 5).form()
	left := quorum.NewRecord(c.machines[1].p.HighestView+1, 2, []model.NodeID{2, 3, 4})
	c.machines[4].p.Tentative = left
	c.machines[4].p.HighestView = left.Number
	if !c.machines[4].quorateSet([]model.NodeID{2, 3, 4}) {
		t.Error("quorate under both records, but told not to be")
	}
	if c.machines[4].quorateSet([]model.NodeID{1, 4, 5}) {
		t.Error("three of five without a majority of the tentative record are told to be quorate")
	}
	c.machines[4].changed = true
	c.run(2 * time.Second)
	var committed []*quorum.Record
	for _, e := range c.events[1] {
		if r, ok := e.(RecordCommitted); ok {
			committed = append(committed, &r.Record)
		}
	}
	if !slices.ContainsFunc(committed, left.Equal) {
		t.Errorf("the tentative record was not committed: %v", committed)
	}
	if got := c.status(1).Committed; !slices.Equal(got.Voters, c.order) || got.Number <= left.Number {
		t.Errorf("committed at the end %v, want all five above %v", got, left)
	}
}

// R6: between the end of keeping and Tick nothing is sent, so that no grant can bridge the gap; after it the generation is burnt.
func TestR6NothingIsSentAfterKeepingEnds(t *testing.T) {
	c := newCluster(t, 3).form()
	m := c.machines[1]
	msg := c.machines[2].lastMessage(c.now)
	late := c.now + 5*time.Second
	msg.Sequence++
	msg.HighestView++
	if err := m.Receive(late, &msg); err != nil {
		t.Fatal(err)
	}
	m.SetReachesAPI(true, late)
	if rd := m.Ready(); len(rd.Messages) > 0 {
		t.Error("a message was sent")
	}
	if m.NextDeadline(late) != late {
		t.Error("Tick is not due")
	}
	m.Tick(late)
	rd := m.Ready()
	if rd.Persist == nil || rd.Persist.Generation != 2 {
		t.Error("the new generation is not to be persisted")
	}
	lost, ok := rd.Events[0].(QuorumLost)
	if !ok || lost.Burnt != 1 || lost.Generation != 2 || lost.View == nil {
		t.Errorf("event %+v", rd.Events[0])
	}
	if st := m.Status(late); st.View != nil || st.Ready || st.Keeping || len(st.Proposal) > 0 {
		t.Errorf("after the loss: %+v", st)
	}
}

// R7: a change of view makes no gap in keeping; acting needs members that carry the new one.
func TestR7KeepingBridgesViews(t *testing.T) {
	c := newCluster(t, 3).form()
	m := c.machines[1]
	next := m.v.View.Clone()
	next.ID.Number++
	m.enter(next, c.now)
	if st := c.status(1); st.Acting || !st.Keeping {
		t.Errorf("acting %t keeping %t in a view that nobody else carries yet, want false and true", st.Acting, st.Keeping)
	}
	c.run(time.Second)
	if st := c.status(1); !st.Acting || !st.Keeping {
		t.Error("not acting after the others have adopted the view")
	}
}

// R9a: a member of the view keeps its grant for a whole interval outside the proposal.
func TestR9GrantOutlastsTheProposal(t *testing.T) {
	c := newCluster(t, 3).form()
	m := c.machines[1]
	p := m.peer(2)
	p.NotReady, m.stale = true, true
	m.propose(c.now)
	for name, tc := range map[string]struct {
		after time.Duration
		want  bool
	}{
		"at once":           {0, true},
		"within":            {249 * time.Millisecond, true},
		"after an interval": {250 * time.Millisecond, false},
	} {
		if got := m.grants(p, c.now+tc.after); got != tc.want {
			t.Errorf("%s: grants = %t, want %t", name, got, tc.want)
		}
	}
}

// R11: a cluster is formed once, and a node without a record takes none from hearsay.
func TestR11NoRecordNoVote(t *testing.T) {
	c := newCluster(t, 3).form()
	if err := c.machines[1].Form(*quorum.NewRecord(1, 0, c.order), c.now); !errors.Is(err, ErrHasRecord) {
		t.Errorf("second formation: %v", err)
	}
	c.isolate(3, true)
	c.run(3 * time.Second)
	c.machines[3].p.Committed = nil
	if c.machines[1].peer(3).Committed == nil {
		t.Fatal("test is wrong: node 3 was heard without a record")
	}
	m, err := New(testConfig(3, 3), nil, nil, c.now)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []model.NodeID{1, 2} {
		msg := c.machines[id].lastMessage(c.now)
		if err := m.Receive(c.now, &msg); err != nil {
			t.Fatal(err)
		}
	}
	if m.p.Committed != nil || m.hasVote(3) {
		t.Error("a record was taken from hearsay")
	}
	if st := m.Status(c.now); st.Acting || st.Keeping {
		t.Error("acts without a record")
	}
}

// lastMessage is the message that the machine would send now.
func (m *Machine) lastMessage(now time.Duration) Message {
	m.Ready()
	m.send(now)
	return m.Ready().Messages[0]
}
