package autonomy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
)

func ask(id string, verb replica.Verb, name string, change ...func(*Ask)) Ask {
	a := Ask{ID: replica.RequestPrefix + id, Verb: verb, Name: name, By: replica.Asker{User: "ann", Host: "b"}, Time: time.Unix(1, 0)}
	for _, c := range change {
		c(&a)
	}
	return a
}

func to(target string) func(*Ask) { return func(a *Ask) { a.Target = target } }

// quietly takes the API server away while nothing else happens: node c runs the group.
func quietly(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 3, 4)
	w.reach(true)
	w.pass(time.Second)
	w.reach(false)
	w.pass(2 * time.Second)
	return w
}

// ask asks a member, and lets time pass; it returns the answer, or nil.
func (w *world) ask(id model.NodeID, a Ask) *Reply {
	w.t.Helper()
	w.machines[id].Ask(w.now, a)
	w.pass(time.Second)
	at := slices.IndexFunc(w.replies[id], func(r Reply) bool { return r.ID == a.ID })
	if at < 0 {
		return nil
	}
	return &w.replies[id][at]
}

// requests counts what was asked for in a member's journal.
func (w *world) requests(id model.NodeID) (n int) {
	for i := range w.disks[id].Journal {
		if w.disks[id].Journal[i].Request != nil {
			n++
		}
	}
	return n
}

// release has the owner give up what was withdrawn from it, and the new one run it.
func (w *world) release() {
	a := w.assignment(1)
	clear(w.running)
	w.released = a.Epoch
	if a.NodeID != 0 {
		w.running[model.NodeID(a.NodeID)] = a.Epoch
	}
	w.pass(time.Second)
}

func TestMoveOnHost(t *testing.T) {
	for _, asked := range []model.NodeID{1, 2} { // the coordinator itself, and another member
		w := quietly(t)
		a := ask("1", replica.VerbMove, "shop", to("b"))
		r := w.ask(asked, a)
		if r == nil || r.Entry == nil || r.Refused != "" {
			t.Fatalf("asked on %d: %+v; %s", asked, r, w.machines[asked])
		}
		if p := ProgressOf(r.Entry, w.machines[asked].Objects()); p.Done || p.Failed {
			t.Errorf("before c has released it: %+v", p)
		}
		w.release()
		w.release()
		last := w.machines[asked].Objects().Groups[0].Status.LastMove
		if a := w.assignment(2); a.Node != "b" || last == nil || last.To != "b" || last.Token != "host-1" || last.Outcome != v1alpha1.MoveCompleted {
			t.Fatalf("assignment %+v, last move %+v", a, last)
		}
		for _, id := range []model.NodeID{1, 2, 3} {
			if g := w.machines[id].Objects().Groups[0]; g.Annotations[v1alpha1.MoveToAnnotation] != "" {
				t.Errorf("node %d still has %v", id, g.Annotations)
			}
		}
		e := r.Entry.Events[0]
		if !strings.Contains(e.Note, "ann") || !strings.Contains(e.Note, "moved to b") {
			t.Errorf("the Event says %q", e.Note)
		}
		// The same command once more changes nothing, whoever asks.
		before := len(w.disks[1].Journal)
		if w.ask(3, a); len(w.disks[1].Journal) != before {
			t.Errorf("%d entries, %d after the same request again", before, len(w.disks[1].Journal))
		}
	}
}

// TestRefusedOnHost: what cannot be is said at once, with the name that was meant, and nothing is written down.
func TestRefusedOnHost(t *testing.T) {
	cases := map[string]struct {
		ask  Ask
		want string
	}{
		"group":    {ask("1", replica.VerbMove, "shpo", to("b")), `there is no group "shpo"; did you mean "shop"?`},
		"target":   {ask("1", replica.VerbMove, "shop", to("bb")), `there is no node "bb"`},
		"node":     {ask("1", replica.VerbDrain, "x"), `there is no node "x"; there is a, b, c`},
		"failback": {ask("1", replica.VerbResume, "a", func(a *Ask) { a.Failback = "never" }), `failback "never" is not known`},
		"verb":     {ask("1", "reboot", "shop"), "does not know"},
		"explain":  {ask("1", VerbExplain, "news"), `there is no group "news"; there is shop`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := quietly(t)
			if r := w.ask(2, tc.ask); r == nil || !strings.Contains(r.Refused, tc.want) || r.Entry != nil {
				t.Errorf("answer %+v, want %q", r, tc.want)
			}
			if n := w.requests(1); n != 0 {
				t.Errorf("%d requests are written down", n)
			}
		})
	}
	w := quietly(t)
	if r := w.ask(2, ask("1", replica.VerbMove, "shop", to("b"))); r.Entry == nil {
		t.Fatal(r)
	}
}

// TestMoveRefusedByPolicy: a node that may not take the group refuses with policy's own words, and it is written down as ever.
func TestMoveRefusedByPolicy(t *testing.T) {
	w := quietly(t)
	if r := w.ask(2, ask("1", replica.VerbDrain, "b")); r == nil || r.Entry == nil {
		t.Fatal(r)
	}
	r := w.ask(3, ask("2", replica.VerbMove, "shop", to("b")))
	if r == nil || r.Entry == nil {
		t.Fatal(r)
	}
	p := ProgressOf(r.Entry, w.machines[3].Objects())
	if !p.Failed || !strings.Contains(p.Message, "drained") {
		t.Errorf("%+v", p)
	}
	if a := w.assignment(1); a.Node != "c" {
		t.Errorf("assignment %+v", a)
	}
}

func TestDrainAndResumeOnHost(t *testing.T) {
	w := quietly(t)
	r := w.ask(2, ask("1", replica.VerbDrain, "c"))
	if r == nil || r.Entry == nil {
		t.Fatal(r)
	}
	if p := ProgressOf(r.Entry, w.machines[2].Objects()); p.Done || !strings.Contains(p.Message, "demo/shop") {
		t.Errorf("while c has it: %+v", p)
	}
	w.release()
	w.release()
	if p := ProgressOf(r.Entry, w.machines[2].Objects()); !p.Done {
		t.Errorf("%+v, assignment %+v", p, w.assignment(2))
	}
	back := w.ask(1, ask("2", replica.VerbResume, "c", func(a *Ask) { a.Failback = "Immediate" }))
	if back == nil || back.Entry == nil {
		t.Fatal(back)
	}
	n := w.machines[2].Objects().Node("c")
	if n.Spec.Availability != v1alpha1.AvailabilityAvailable || n.Spec.FailbackOnResume != v1alpha1.FailbackOnResumeImmediate {
		t.Errorf("spec %+v", n.Spec)
	}
	if p := ProgressOf(r.Entry, w.machines[2].Objects()); !p.Failed {
		t.Errorf("the drain, after the node was resumed: %+v", p)
	}
}

func TestOfflineAndOnlineOnHost(t *testing.T) {
	w := quietly(t)
	r := w.ask(2, ask("1", replica.VerbOffline, "shop"))
	if r == nil || r.Entry == nil {
		t.Fatal(r)
	}
	w.release()
	if p, a := ProgressOf(r.Entry, w.machines[2].Objects()), w.assignment(2); !p.Done || a.Node != "" {
		t.Errorf("%+v, assignment %+v", p, a)
	}
	if r = w.ask(2, ask("2", replica.VerbOnline, "shop")); r == nil || r.Entry == nil {
		t.Fatal(r)
	}
	w.release()
	if a := w.assignment(2); a.Node == "" {
		t.Errorf("assignment %+v", a)
	}
}

func TestExplainOnHost(t *testing.T) {
	w := quietly(t)
	r := w.ask(2, ask("1", VerbExplain, "shop"))
	if r == nil || r.Explained == nil || r.Explained.Owner != "c" || len(r.Explained.Nodes) != 3 {
		t.Fatalf("%+v", r)
	}
	if w.requests(1) != 0 {
		t.Error("an explanation is in the journal")
	}
}

// TestRequestSurvivesCoordinator: what the coordinator has written down before it died is done once, although it is asked again; what it has
// not heard of is done by the next one.
func TestRequestSurvivesCoordinator(t *testing.T) {
	for name, heard := range map[string]bool{"written down": true, "not heard": false} {
		t.Run(name, func(t *testing.T) {
			w := quietly(t)
			w.deaf[1] = !heard
			w.deaf[3] = heard // so that it is not in force before the coordinator dies
			w.machines[2].Ask(w.now, ask("1", replica.VerbDrain, "c"))
			w.pass(time.Second)
			if len(w.replies[2]) != 0 || (w.requests(2) == 1) != heard {
				t.Fatalf("answers %+v, %d requests written down", w.replies[2], w.requests(2))
			}
			clear(w.deaf)
			delete(w.machines, 1)
			w.install(10, 2, 3)
			w.pass(2 * time.Second)
			if len(w.replies[2]) != 1 || w.replies[2][0].Entry == nil || w.requests(3) != 1 {
				t.Errorf("answers %+v, %d requests written down", w.replies[2], w.requests(3))
			}
		})
	}
}

func TestWithdraw(t *testing.T) {
	w := quietly(t)
	w.deaf[2] = true
	w.machines[2].Ask(w.now, ask("1", replica.VerbDrain, "c"))
	w.pass(time.Second)
	w.machines[2].Withdraw("host-1")
	clear(w.deaf)
	w.pass(2 * time.Second)
	if n := w.requests(1); n != 0 {
		t.Errorf("%d requests of what nobody asks any more", n)
	}
	for i := range MaxAsks + 1 {
		w.machines[3].asks = append(w.machines[3].asks, ask(strings.Repeat("x", i+1), replica.VerbDrain, "a"))
	}
	w.machines[3].Ask(w.now, ask("2", replica.VerbDrain, "c"))
	if out := w.machines[3].Ready(); len(out.Replies) != 1 || out.Replies[0].Refused == "" {
		t.Errorf("one more than is allowed: %+v", out.Replies)
	}
}

func TestHolds(t *testing.T) {
	cases := map[Hold]func(w *world){
		"":           func(*world) {},
		HoldReached:  func(w *world) { w.reaches[3] = true },
		HoldDisabled: func(w *world) { w.machines[2].Configure(Config{Self: 2, Node: "b", Cluster: "demo"}) },
		HoldNoQuorum: func(w *world) { w.view.Members = w.view.Members[:1] },
		HoldSession:  func(w *world) { w.deaf[1] = true; w.install(9, 1, 2, 3) },
		HoldWitness: func(w *world) {
			w.needed = true
			w.machines[2].WitnessRead(w.now, nil, "garbled")
		},
	}
	for want, change := range cases {
		w := quietly(t)
		change(w)
		w.observe()
		if got, text := w.machines[2].Holds(w.now); got != want || (text == "") != (want == "") {
			t.Errorf("%q: %s, want %q", got, text, want)
		}
	}
}

// TestProgressOf: how a request stands, in every state of its object.
func TestProgressOf(t *testing.T) {
	w := quietly(t)
	o := w.machines[1].Objects()
	move := &replica.Entry{Name: "shop", Namespace: "demo", UID: "u", Request: &replica.Request{Verb: replica.VerbMove, Changes: []replica.Change{{
		Field: replica.FieldMove, To: "b/host-1",
	}}}}
	for name, tc := range map[string]struct {
		change func(g *v1alpha1.ResourceGroup)
		want   Progress
	}{
		"asked": {func(g *v1alpha1.ResourceGroup) {
			g.Annotations = map[string]string{v1alpha1.MoveToAnnotation: "b/host-1"}
		},
			Progress{Message: "nothing is decided yet; demo/shop is Online on c"}},
		"replaced": {func(g *v1alpha1.ResourceGroup) { g.Annotations = map[string]string{v1alpha1.MoveToAnnotation: "a"} },
			Progress{Failed: true, Message: "another move was asked for instead"}},
		"on its way": {func(g *v1alpha1.ResourceGroup) {
			g.Status.LastMove = &v1alpha1.MoveRecord{Token: "host-1", From: "c", To: "b", Outcome: v1alpha1.MovePending}
		}, Progress{Message: "c gives it up, then b takes it"}},
		"failed": {func(g *v1alpha1.ResourceGroup) {
			g.Status.LastMove = &v1alpha1.MoveRecord{Token: "host-1", Outcome: v1alpha1.MoveFailed, Message: "b may not take the group any more"}
		}, Progress{Failed: true, Message: "the move failed: b may not take the group any more; demo/shop is Online on c"}},
		"done": {func(g *v1alpha1.ResourceGroup) {
			g.Status.LastMove = &v1alpha1.MoveRecord{Token: "host-1", Outcome: v1alpha1.MoveCompleted}
		}, Progress{Done: true, Message: "demo/shop is Online on c"}},
		"long done": {func(g *v1alpha1.ResourceGroup) {
			g.Status.LastMove, g.Status.UsedMoveTokens = &v1alpha1.MoveRecord{Token: "x"}, []string{"host-1", "x"}
		}, Progress{Done: true, Message: "the move was carried out, and another one since; demo/shop is Online on c"}},
	} {
		g := o.Groups[0].DeepCopy()
		g.Status.State = v1alpha1.GroupOnline
		tc.change(g)
		c := *o
		c.Groups = []*v1alpha1.ResourceGroup{g}
		if got := ProgressOf(move, &c); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
	gone := *move
	gone.UID = "other"
	if p := ProgressOf(&gone, o); !p.Failed {
		t.Errorf("a group that is gone: %+v", p)
	}
}
