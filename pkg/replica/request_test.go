package replica

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

func requestEntry(number uint64, uid string, verb Verb, changes ...Change) Entry {
	return Entry{
		ID: EntryID{View: model.ViewID{Number: 9, Coordinator: 1, Record: 4}, Session: 0xabc, Number: number}, UID: uid,
		Request: &Request{ID: RequestPrefix + "1", Verb: verb, Asked: time.Unix(1, 0), Changes: changes},
	}
}

func aNode(availability v1alpha1.Availability) *v1alpha1.Node {
	return &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "n"}, Spec: v1alpha1.NodeSpec{Availability: availability}}
}

func aGroup(move string) *v1alpha1.ResourceGroup {
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: "g"}}
	if move != "" {
		g.Annotations = map[string]string{v1alpha1.MoveToAnnotation: move}
	}
	return g
}

var (
	drain  = requestEntry(1, "n", VerbDrain, Change{FieldAvailability, "Available", "Drained"})
	resume = requestEntry(2, "n", VerbResume, Change{FieldAvailability, "Drained", "Available"}, Change{FieldFailbackOnResume, "Policy", "Immediate"})
)

func TestCarryIntoNode(t *testing.T) {
	clone := (*v1alpha1.Node).DeepCopy
	n := aNode("")
	drained, carried := Carry(&drain, n, clone, false)
	if carried != Changed || drained.Spec.Availability != v1alpha1.AvailabilityDrained || n.Spec.Availability != "" {
		t.Fatalf("%s, %s, and the node itself %q", carried, drained.Spec.Availability, n.Spec.Availability)
	}
	if again, carried := Carry(&drain, drained, clone, false); again != drained || carried != Known {
		t.Errorf("carried again: %s", carried)
	}
	resumed, _ := Carry(&resume, drained, clone, false)
	if resumed.Spec.Availability != v1alpha1.AvailabilityAvailable || resumed.Spec.FailbackOnResume != v1alpha1.FailbackOnResumeImmediate {
		t.Errorf("resumed: %+v", resumed.Spec)
	}
	// A manager died before it acknowledged the page, and somebody drains the node again before the next one begins at its first entry.
	resumed.Spec.Availability = v1alpha1.AvailabilityDrained
	for _, e := range []*Entry{&drain, &resume} {
		if after, carried := Carry(e, resumed, clone, false); carried != Known || after.Spec.Availability != v1alpha1.AvailabilityDrained {
			t.Errorf("%s: %s, %s", e.Request.Verb, carried, after.Spec.Availability)
		}
	}
}

func TestCarrySuperseded(t *testing.T) {
	clone := (*v1alpha1.Node).DeepCopy
	n := aNode(v1alpha1.AvailabilityPaused)
	n.Spec.FailbackOnResume = v1alpha1.FailbackOnResumePolicy
	for range 2 { // the second time the mark tells it
		after, carried := Carry(&resume, n, clone, false)
		if carried != Superseded || after.Spec.Availability != v1alpha1.AvailabilityPaused || after.Spec.FailbackOnResume != v1alpha1.FailbackOnResumePolicy {
			t.Fatalf("%s: %+v; nothing may be half done", carried, after.Spec)
		}
		n = after
	}
	other := aNode("")
	other.UID, other.Annotations = "another", n.Annotations
	if _, carried := Carry(&drain, other, clone, false); carried != Changed {
		t.Errorf("the mark of another object counts: %s", carried)
	}
}

func TestCarryMove(t *testing.T) {
	e := requestEntry(1, "g", VerbMove, Change{FieldMove, "", "b/host-1"})
	clone := (*v1alpha1.ResourceGroup).DeepCopy
	used := aGroup("")
	used.Status.UsedMoveTokens = []string{"host-1"}
	for name, tc := range map[string]struct {
		group    *v1alpha1.ResourceGroup
		answered bool
		want     Carried
		move     string
	}{
		"asked":               {aGroup(""), false, Changed, "b/host-1"},
		"asked, and answered": {aGroup(""), true, Known, ""},
		"carried out":         {used, false, Known, ""},
		"another move":        {aGroup("c"), false, Superseded, "c"},
	} {
		after, carried := Carry(&e, tc.group, clone, tc.answered)
		if carried != tc.want || after.Annotations[v1alpha1.MoveToAnnotation] != tc.move {
			t.Errorf("%s: %s, %v", name, carried, after.Annotations)
		}
	}
	done := Entry{ID: EntryID{Number: 2}, UID: "g", Move: "b/host-1", Status: &v1alpha1.ResourceGroupStatus{}}
	if !Answered(e.Request, "g", []Entry{done}) || Answered(e.Request, "other", []Entry{done}) || Answered(drain.Request, "g", []Entry{{UID: "g"}}) {
		t.Error("the answer of a move is not told from others")
	}
}

// TestApplyRequests: what was asked for is in the copy, each once, and what it was applied to before is as it was.
func TestApplyRequests(t *testing.T) {
	move := requestEntry(3, "g", VerbMove, Change{FieldMove, "", "b/host-1"})
	offline := requestEntry(4, "g", VerbOffline, Change{FieldDesiredState, "Online", "Offline"})
	c := &Copy{Nodes: []*v1alpha1.Node{aNode("")}, Groups: []*v1alpha1.ResourceGroup{aGroup("")}}
	after := c.Apply([]Entry{drain, move, offline, requestEntry(5, "gone", VerbDrain, Change{FieldAvailability, "", "Drained"})})
	g := after.Groups[0]
	if Get(after.Nodes[0], FieldAvailability) != "Drained" || Get(g, FieldMove) != "b/host-1" || Get(g, FieldDesiredState) != "Offline" {
		t.Errorf("node %+v, group %+v, %v", after.Nodes[0].Spec, g.Spec, g.Annotations)
	}
	if Get(c.Nodes[0], FieldAvailability) != "Available" || len(c.Groups[0].Annotations) > 0 {
		t.Error("the copy before has changed")
	}
	if again := after.Apply([]Entry{drain, move, offline}); Get(again.Groups[0], FieldMove) != "b/host-1" {
		t.Error("applied again, it is something else")
	}
}

// TestNewestKeepsWishes: a member that has seen more of the API server, but nothing of what was asked for on hosts, makes nobody forget it.
func TestNewestKeepsWishes(t *testing.T) {
	old := &Copy{Nodes: []*v1alpha1.Node{aNode("")}, Groups: []*v1alpha1.ResourceGroup{aGroup("")}}
	asked := old.Apply([]Entry{drain, requestEntry(3, "g", VerbMove, Change{FieldMove, "", "b/host-1"})})
	fresh := &Copy{Nodes: []*v1alpha1.Node{aNode("")}, Groups: []*v1alpha1.ResourceGroup{aGroup("")}}
	fresh.Nodes[0].ResourceVersion, fresh.Groups[0].ResourceVersion = "900", "901"
	for name, merged := range map[string]*Copy{"first": Newest(asked, fresh), "last": Newest(fresh, asked)} {
		if Get(merged.Nodes[0], FieldAvailability) != "Drained" || Get(merged.Groups[0], FieldMove) != "b/host-1" || merged.Groups[0].ResourceVersion != "901" {
			t.Errorf("%s: node %+v, group %v", name, merged.Nodes[0].Spec, merged.Groups[0].Annotations)
		}
	}
	if fresh.Nodes[0].Spec.Availability != "" {
		t.Error("a copy that others share was changed")
	}
	asked.Groups[0].Annotations[v1alpha1.MoveToAnnotation] = "c"
	if merged := Newest(fresh, asked); Get(merged.Groups[0], FieldMove) != "" {
		t.Error("an annotation that the API server may have carried out since is taken over")
	}
}

func TestEntryCheck(t *testing.T) {
	good := Entry{UID: "g", Status: &v1alpha1.ResourceGroupStatus{}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if err := drain.Check(); err != nil {
		t.Error(err)
	}
	both, unknown, wrong, empty, id := drain, drain, drain, drain, drain
	both.Status = &v1alpha1.ResourceGroupStatus{}
	change := func(e *Entry, do func(r *Request)) {
		r := *e.Request
		do(&r)
		e.Request = &r
	}
	change(&unknown, func(r *Request) { r.Verb = "reboot" })
	change(&wrong, func(r *Request) { r.Verb = VerbOffline })
	change(&empty, func(r *Request) { r.Changes = nil })
	change(&id, func(r *Request) { r.ID = "host-a/b" })
	for name, e := range map[string]Entry{"both": both, "neither": {UID: "g"}, "unknown": unknown, "wrong": wrong, "empty": empty, "id": id} {
		if e.Check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestCarryInOrder: the twelfth request comes after the eleventh.
func TestCarryInOrder(t *testing.T) {
	n := aNode("")
	for number := range uint64(40) {
		e := requestEntry(number+1, "n", VerbDrain, drain.Request.Changes...)
		if number%2 == 1 {
			e = requestEntry(number+1, "n", VerbResume, Change{FieldAvailability, "Drained", "Available"})
		}
		after, carried := Carry(&e, n, (*v1alpha1.Node).DeepCopy, false)
		if carried != Changed || Get(after, FieldAvailability) != e.Request.Changes[0].To {
			t.Fatalf("entry %s: %s, %v", e.ID, carried, after.Annotations)
		}
		n = after
	}
}

// FuzzParseEntryID: what is read is written again as it was, or is refused.
func FuzzParseEntryID(f *testing.F) {
	f.Add(drain.ID.String())
	f.Add("18446744073709551615.4095.abc.27")
	f.Add("1.2.3")
	f.Add("1.99999.f.f")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseEntryID(text)
		if err != nil {
			return
		}
		if again, err := ParseEntryID(id.String()); err != nil || again.Compare(id) != 0 {
			t.Errorf("%q is read as %v and again as %v, %v", text, id, again, err)
		}
		o := aNode("")
		o.UID = types.UID("u")
		o.Annotations = map[string]string{v1alpha1.AskedOnHostAnnotation: text + "/u"}
		if got, _ := marked(o); got != id {
			t.Errorf("the mark of %q is read as %v", text, got)
		}
	})
}
