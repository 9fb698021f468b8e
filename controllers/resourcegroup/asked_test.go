package resourcegroup

import (
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// asked is the entry of a request; moved is that of the change of status that answers a move.
func asked(number uint64, verb replica.Verb, uid, name string, changes ...replica.Change) replica.Entry {
	return replica.Entry{
		ID: replica.EntryID{View: model.ViewID{Number: 9, Coordinator: 1, Record: 4}, Session: 1, Number: number}, Time: decidedAt, Name: name, UID: uid,
		Request: &replica.Request{ID: replica.RequestPrefix + "1", Verb: verb, By: replica.Asker{User: "ann", Host: "b"}, Changes: changes},
		Events:  []status.Event{{Reason: "AskedOnHost", Action: "Ask", Note: "ann (uid 0) on b wants it " + string(verb)}},
	}
}

// asking is an API server with a Node and a group, and what is to be written to it.
type asking struct {
	t     *testing.T
	c     client.Client
	r     *Reconciler
	page  []byte
	token string
}

func newAsking(t *testing.T, entries []replica.Entry, objects ...client.Object) *asking {
	t.Helper()
	page, token, _, err := replica.Page(entries)
	if err != nil {
		t.Fatal(err)
	}
	objects = append(objects, &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}})
	c := fake.NewClientBuilder().WithScheme(schemeOf(t)).WithStatusSubresource(objects...).WithObjects(objects...).Build()
	return &asking{
		t: t, c: c, page: page, token: token,
		r: &Reconciler{Client: c, Clock: clocktesting.NewFakePassiveClock(decidedAt), Past: chronicle.NewPast(c, "test")},
	}
}

// catchUp writes the page, as a manager does that has just begun to lead, and returns what the API server has then.
func (a *asking) catchUp() (*v1alpha1.Node, *v1alpha1.ResourceGroup) {
	a.t.Helper()
	read := func() *snapshot.Objects {
		o := &snapshot.Objects{Name: "demo", Cluster: &v1alpha1.Cluster{}, Nodes: []*v1alpha1.Node{{}}, Groups: []*v1alpha1.ResourceGroup{{}}}
		for key, into := range map[client.ObjectKey]client.Object{{Name: "demo"}: o.Cluster, {Name: "a"}: o.Nodes[0], {Namespace: "demo", Name: "shop"}: o.Groups[0]} {
			if err := a.c.Get(a.t.Context(), key, into); err != nil {
				a.t.Fatal(err)
			}
		}
		return o
	}
	o := read()
	reported := o.Nodes[0].DeepCopy()
	reported.Status.Agent.Journal = &v1alpha1.AgentJournal{Pending: true, Page: a.page, Token: a.token}
	o.Cluster.Status.JournalWritten = ""
	o.Nodes = []*v1alpha1.Node{reported}
	if err := a.r.catchUp(a.t.Context(), o); err != nil {
		a.t.Fatal(err)
	}
	o = read()
	if o.Cluster.Status.JournalWritten != a.token {
		a.t.Errorf("acknowledged %q", o.Cluster.Status.JournalWritten)
	}
	return o.Nodes[0], o.Groups[0]
}

// events are the notes of all Events with a word in them.
func (a *asking) events(word string) (notes []string) {
	a.t.Helper()
	var list eventsv1.EventList
	if err := a.c.List(a.t.Context(), &list); err != nil {
		a.t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.EventTime.Time.Equal(decidedAt) && strings.Contains(e.Reason+" "+e.Note, word) {
			notes = append(notes, e.Namespace+": "+e.Note)
		}
	}
	return notes
}

func theNode() *v1alpha1.Node {
	n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "n"}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
	n.Status = v1alpha1.NodeStatus{ID: 1, Agent: &v1alpha1.AgentStatus{Generation: 1, View: &v1alpha1.AgentView{
		ID: v1alpha1.ViewID{Number: 9, Coordinator: 1}, Quorate: true, Members: []v1alpha1.AgentViewMember{{ID: 1, Generation: 1, ReachesAPI: true}},
	}}}
	return n
}

func theGroup() *v1alpha1.ResourceGroup {
	return &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: "u"}}
}

var (
	drainA   = replica.Change{Field: replica.FieldAvailability, From: "Available", To: "Drained"}
	shopOff  = replica.Change{Field: replica.FieldDesiredState, From: "Online", To: "Offline"}
	shopToB  = replica.Change{Field: replica.FieldMove, To: "b/host-1"}
	resumeAs = replica.Change{Field: replica.FieldFailbackOnResume, From: "Policy", To: "Immediate"}
)

// TestRequestsAreWritten: what was asked for on hosts is in the specs, with who asked as an Event, and a second manager that begins at the
// first entry again undoes nothing of what people did since.
func TestRequestsAreWritten(t *testing.T) {
	a := newAsking(t, []replica.Entry{
		asked(1, replica.VerbDrain, "n", "a", drainA), asked(2, replica.VerbOffline, "u", "shop", shopOff), asked(3, replica.VerbDrain, "gone", "x", drainA),
		asked(4, replica.VerbMove, "u", "shop", shopToB),
	}, theNode(), theGroup())
	n, g := a.catchUp()
	if n.Spec.Availability != v1alpha1.AvailabilityDrained || g.Spec.DesiredState != v1alpha1.DesiredOffline || g.Annotations[v1alpha1.MoveToAnnotation] != "b/host-1" {
		t.Fatalf("node %+v, group %+v %v", n.Spec, g.Spec, g.Annotations)
	}
	if events := a.events("ann"); len(events) != 3 || !strings.HasPrefix(a.events("drain")[0], "default: ") {
		t.Errorf("events %q", events)
	}
	n.Spec.Availability = v1alpha1.AvailabilityAvailable
	if err := a.c.Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if n, _ = a.catchUp(); n.Spec.Availability != v1alpha1.AvailabilityAvailable {
		t.Errorf("written a second time: %+v", n.Spec)
	}
	if events := a.events(""); len(events) != 3 {
		t.Errorf("events %q", events)
	}
}

// TestRequestIsSuperseded: what somebody has written to the API server meanwhile stands, nothing is half done, and an Event says so once.
func TestRequestIsSuperseded(t *testing.T) {
	n := theNode()
	n.Spec.Availability = v1alpha1.AvailabilityPaused
	n.Spec.FailbackOnResume = v1alpha1.FailbackOnResumePolicy
	a := newAsking(t, []replica.Entry{
		asked(1, replica.VerbResume, "n", "a", replica.Change{Field: replica.FieldAvailability, From: "Drained", To: "Available"}, resumeAs),
	}, n, theGroup())
	for range 2 {
		n, _ := a.catchUp()
		if n.Spec.Availability != v1alpha1.AvailabilityPaused || n.Spec.FailbackOnResume != v1alpha1.FailbackOnResumePolicy {
			t.Errorf("node %+v", n.Spec)
		}
		if events := a.events("Superseded"); len(events) != 1 || !strings.Contains(events[0], `"Paused"`) || !strings.Contains(events[0], "ann") {
			t.Errorf("events %q", events)
		}
	}
}

// TestMoveIsNotRepeated: a move that was carried out without the API server is not asked of it.
func TestMoveIsNotRepeated(t *testing.T) {
	moved := replica.Entry{
		ID: replica.EntryID{View: model.ViewID{Number: 9, Coordinator: 1}, Session: 1, Number: 2}, Time: decidedAt, Namespace: "demo", Name: "shop", UID: "u",
		Decided: true, Move: "b/host-1", Status: &v1alpha1.ResourceGroupStatus{
			Assignment:     &v1alpha1.Assignment{Node: "b", NodeID: 2, Generation: 1, Epoch: 519, ViewID: v1alpha1.ViewID{Number: 9, Coordinator: 1}},
			UsedMoveTokens: []string{"host-1"},
		},
	}
	for name, entries := range map[string][]replica.Entry{
		"in one page":     {asked(1, replica.VerbMove, "u", "shop", shopToB), moved},
		"the answer only": {moved},
	} {
		g := theGroup()
		if len(entries) == 1 { // an earlier page has brought the annotation
			g.Annotations = map[string]string{v1alpha1.MoveToAnnotation: "b/host-1"}
		}
		a := newAsking(t, entries, theNode(), g)
		for range 2 {
			if _, g := a.catchUp(); g.Annotations[v1alpha1.MoveToAnnotation] != "" || g.Status.Assignment.Node != "b" || snapshot.MoveRequest(g) != nil {
				t.Errorf("%s: %v, %+v", name, g.Annotations, g.Status)
			}
		}
	}
}
