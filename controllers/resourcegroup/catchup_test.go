package resourcegroup

import (
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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

var decidedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// schemeOf has what a manager writes when it catches up.
func schemeOf(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, eventsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// journalOf are three entries: two about one group, and one about a group that is gone.
func journalOf(t *testing.T) (page []byte, token string) {
	t.Helper()
	e := func(number uint64, uid, node string, epoch int64) replica.Entry {
		return replica.Entry{
			ID: replica.EntryID{View: model.ViewID{Number: 9, Coordinator: 1}, Session: 1, Number: number}, Time: decidedAt.Add(time.Duration(number) * time.Second),
			Namespace: "demo", Name: "shop", UID: uid, Decided: true, Move: "b/t",
			Status: &v1alpha1.ResourceGroupStatus{Assignment: &v1alpha1.Assignment{
				Node: node, NodeID: 2, Generation: 1, Epoch: epoch, ViewID: v1alpha1.ViewID{Number: 9, Coordinator: 1},
			}},
			Events: []status.Event{{Warning: true, Reason: "NodeDown", Action: "Failover", Note: node}},
		}
	}
	page, token, _, err := replica.Page([]replica.Entry{e(1, "u", "a", 518), e(2, "gone", "a", 518), e(3, "u", "b", 519)})
	if err != nil {
		t.Fatal(err)
	}
	return page, token
}

func TestCatchUp(t *testing.T) {
	page, token := journalOf(t)
	n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
	n.Status = v1alpha1.NodeStatus{ID: 1, Agent: &v1alpha1.AgentStatus{Generation: 1, View: &v1alpha1.AgentView{
		ID: v1alpha1.ViewID{Number: 9, Coordinator: 1}, Quorate: true, Members: []v1alpha1.AgentViewMember{{ID: 1, Generation: 1, ReachesAPI: true}},
	}, Journal: &v1alpha1.AgentJournal{Pending: true, Page: page, Token: token}}}
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: "demo", Name: "shop", UID: "u", Annotations: map[string]string{v1alpha1.MoveToAnnotation: "b/t"},
	}}
	g.Status.Assignment = &v1alpha1.Assignment{Node: "c", NodeID: 3, Generation: 1, Epoch: 4, ViewID: v1alpha1.ViewID{Number: 8, Coordinator: 1}}
	cluster := &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	c := fake.NewClientBuilder().WithScheme(schemeOf(t)).WithStatusSubresource(g, cluster, n).WithObjects(g, cluster, n).Build()
	r := &Reconciler{Client: c, Clock: clocktesting.NewFakePassiveClock(decidedAt.Add(time.Hour)), Past: chronicle.NewPast(c, "test")}
	for range 2 { // the manager may die after any of the writes, and the next one begins again
		o := &snapshot.Objects{Name: "demo", Cluster: &v1alpha1.Cluster{}, Nodes: []*v1alpha1.Node{n}, Groups: []*v1alpha1.ResourceGroup{{}}}
		for key, into := range map[client.ObjectKey]client.Object{{Name: "demo"}: o.Cluster, {Namespace: "demo", Name: "shop"}: o.Groups[0]} {
			if err := c.Get(t.Context(), key, into); err != nil {
				t.Fatal(err)
			}
		}
		if !o.JournalPending() {
			t.Fatal("the journal is not seen to be pending")
		}
		if err := r.catchUp(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		written := &v1alpha1.ResourceGroup{}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(g), written); err != nil {
			t.Fatal(err)
		}
		if a := written.Status.Assignment; a.Node != "b" || a.Epoch != 519 || written.Annotations[v1alpha1.MoveToAnnotation] != "" {
			t.Errorf("assignment %+v, annotations %v", a, written.Annotations)
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(cluster), cluster); err != nil || cluster.Status.JournalWritten != token {
			t.Errorf("acknowledged %q, %v", cluster.Status.JournalWritten, err)
		}
		cluster.Status.JournalWritten = ""
		if err := c.Status().Update(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
	}
	var events eventsv1.EventList
	if err := c.List(t.Context(), &events); err != nil {
		t.Fatal(err)
	}
	if len(events.Items) != 2 {
		t.Fatalf("%d events, want one for each entry of the group, however often it is written", len(events.Items))
	}
	for _, e := range events.Items {
		if age := e.EventTime.Sub(decidedAt); age != time.Second && age != 3*time.Second {
			t.Errorf("event %q of %s, %s after the first second", e.Note, e.EventTime, age)
		}
	}
}
