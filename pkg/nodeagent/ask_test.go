package nodeagent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
)

// without is a company that has been without the API server for a while.
func without(t *testing.T) *company {
	t.Helper()
	n := newNet(t)
	n.pass(2 * time.Second)
	n.reaches = false
	n.pass(2 * time.Second)
	return n
}

var offline = autonomy.Ask{ID: "host-1", Verb: replica.VerbOffline, Name: "shop", By: replica.Asker{User: "ann", Host: "node-b"}}

// ask asks on a node while time passes, until there is an answer or patience ends.
func (n *company) ask(id model.NodeID, a autonomy.Ask, patience time.Duration) answer {
	n.t.Helper()
	ctx, cancel := context.WithCancel(n.t.Context())
	defer cancel()
	got, s := make(chan answer, 1), n.nodes[id]
	go func() { got <- s.ask(ctx, a) }()
	for !s.waits() {
		time.Sleep(time.Millisecond)
	}
	for end := n.now + patience; n.now < end; {
		n.pass(20 * time.Millisecond)
		time.Sleep(time.Millisecond) // the answer has to find its way to the goroutine that waits
		select {
		case r := <-got:
			return r
		default:
		}
	}
	cancel()
	return <-got
}

// TestAskOnHost: what is asked on a member is on the disks of all when it is answered, and the status tells of it.
func TestAskOnHost(t *testing.T) {
	n := without(t)
	r := n.ask(2, offline, 5*time.Second)
	if r.Entry == nil || r.Hold != "" || r.Refused != "" {
		t.Fatalf("answer %+v", r)
	}
	for id, s := range n.nodes {
		if s.saved.Copy.Groups[0].Spec.DesiredState != "Offline" {
			t.Errorf("node %d has %q on its disk", id, s.saved.Copy.Groups[0].Spec.DesiredState)
		}
		decided := s.gate.now().decided
		if len(decided) == 0 || decided[0].By != "ann (uid 0) on node-b" || !strings.Contains(decided[0].What, "offline") {
			t.Errorf("the status of node %d tells of %+v", id, decided)
		}
	}
	n.pass(time.Second)
	if a, _ := n.nodes[1].assignment(); a.Node != "" {
		t.Errorf("the group is still assigned: %+v", a)
	}
	if n.nodes[2].waits() || len(n.nodes[2].desk.due) > 0 {
		t.Error("somebody still waits")
	}
}

// TestAnsweredWhenInForce: whoever is told that a request is taken finds it in what the node goes by.
func TestAnsweredWhenInForce(t *testing.T) {
	n := without(t)
	s := n.nodes[2]
	w := &waiter{reply: make(chan autonomy.Reply, 1), hold: make(chan autonomy.Hold, 1)}
	s.desk.asked, s.desk.waiting = []autonomy.Ask{offline}, map[string]*waiter{offline.ID: w}
	inForce := false
	s.changed = func() { // other orders are in force
		if now := s.gate.now().journal.cached.(*copyReader).objects.Groups[0].Spec.DesiredState; now == "Offline" && !inForce {
			if inForce = true; len(w.reply) > 0 {
				t.Error("told before it was in force")
			}
		}
	}
	n.pass(time.Second)
	if len(w.reply) != 1 || !inForce {
		t.Errorf("%d answers, in force: %t", len(w.reply), inForce)
	}
}

// TestAskIsAnsweredFromDisk: no answer is told before what it speaks of is on disk.
func TestAskIsAnsweredFromDisk(t *testing.T) {
	n := without(t)
	n.nodes[2].full = errors.New("the disk is full")
	if r := n.ask(2, offline, 2*time.Second); r.Entry != nil {
		t.Errorf("answer %+v", r)
	}
}

func TestAskWhereNothingIsDecided(t *testing.T) {
	cases := map[autonomy.Hold]struct {
		change   func(n *company)
		patience time.Duration
	}{
		autonomy.HoldReached:  {func(n *company) { n.reaches = true }, 500 * time.Millisecond},
		autonomy.HoldNoQuorum: {func(n *company) { n.view = &membership.View{ID: n.view.ID, Members: n.view.Members[:1]} }, 5 * time.Second},
		autonomy.HoldSession:  {func(n *company) { n.nodes[3].cut = true; n.install(9, 1, 2, 3) }, 3 * time.Second},
	}
	for want, tc := range cases {
		n := without(t)
		s := n.nodes[2]
		tc.change(n)
		n.pass(200 * time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan answer, 1)
		go func() { got <- s.ask(ctx, offline) }()
		for !s.waits() {
			time.Sleep(time.Millisecond)
		}
		for end := n.now + tc.patience; n.now < end; n.now += 20 * time.Millisecond {
			for _, id := range []model.NodeID{1, 2, 3} {
				n.nodes[id].turn(t.Context())
			}
		}
		time.Sleep(10 * time.Millisecond)
		cancel()
		if r := <-got; r.Hold != want || r.Held == "" || r.Entry != nil {
			t.Errorf("answer %+v, want %s", r, want)
		}
	}
}

// TestAskAgain: whoever has given up and asks again with the same id has it done once.
func TestAskAgain(t *testing.T) {
	n := without(t)
	first := n.ask(2, offline, 5*time.Second)
	second := n.ask(3, offline, 5*time.Second)
	if first.Entry == nil || second.Entry != nil && second.Entry.ID != first.Entry.ID {
		t.Errorf("first %+v, then %+v", first, second)
	}
	requests := 0
	for _, e := range n.nodes[1].saved.Journal {
		if e.Request != nil {
			requests++
		}
	}
	if requests != 1 {
		t.Errorf("%d requests in the journal", requests)
	}
}

func TestCheckAsk(t *testing.T) {
	for name, a := range map[string]autonomy.Ask{
		"verb":             {Verb: "reboot", Name: "x"},
		"explain":          {Verb: autonomy.VerbExplain, Name: "x"},
		"no name":          {Verb: replica.VerbDrain},
		"no target":        {Verb: replica.VerbMove, Name: "x"},
		"a target":         {Verb: replica.VerbDrain, Name: "x", Target: "y"},
		"failback":         {Verb: replica.VerbDrain, Name: "x", Failback: "None"},
		"unknown failback": {Verb: replica.VerbResume, Name: "x", Failback: "Nnoe"},
	} {
		var said *localapi.Error
		if err := checkAsk(&a); !errors.As(err, &said) || said.Code != localapi.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, a := range []autonomy.Ask{
		{Verb: replica.VerbMove, Name: "x", Target: "best"}, {Verb: replica.VerbResume, Name: "x", Failback: "None"}, {Verb: replica.VerbOnline, Name: "x"},
	} {
		if err := checkAsk(&a); err != nil {
			t.Error(err)
		}
		if text := withKubectl(&a); !strings.Contains(text, "x") || !strings.HasPrefix(text, "kubectl ") {
			t.Error(text)
		}
	}
}

// TestOneAfterTheOther: each request finds what the one before has left, in a view whose id has everything that an id has.
func TestOneAfterTheOther(t *testing.T) {
	n := without(t)
	n.install(9, 1, 2, 3)
	n.view.ID.Record = 4
	n.pass(2 * time.Second)
	for i, verb := range []replica.Verb{replica.VerbOffline, replica.VerbOnline, replica.VerbOffline} {
		a := offline
		a.ID, a.Verb = replica.RequestPrefix+string(verb)+string(rune('a'+i)), verb
		r := n.ask(2, a, 5*time.Second)
		if r.Entry == nil {
			t.Fatalf("%s: %+v", verb, r)
		}
		o, err := objectsOf(t.Context(), n.nodes[2].gate.now().journal, "demo")
		if err != nil {
			t.Fatal(err)
		}
		if got := replica.Get(o.Groups[0], replica.FieldDesiredState); got != r.Entry.Request.Changes[0].To {
			t.Errorf("%s: %s, %v", verb, got, o.Groups[0].Annotations)
		}
		if p := autonomy.ProgressOf(r.Entry, o); p.Failed {
			t.Errorf("%s: %+v", verb, p)
		}
		n.pass(2 * time.Second)
	}
}
