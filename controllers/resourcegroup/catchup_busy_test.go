package resourcegroup

import (
	"context"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// busy is a cluster whose own status is written by another controller whenever that of a group is, as it counts what is online.
type busy struct {
	t *testing.T
	client.Client
	page    []byte
	token   string
	states  []v1alpha1.GroupState // that were shown, in order
	cluster *v1alpha1.Cluster
}

func newBusy(t *testing.T) *busy {
	t.Helper()
	e := func(number uint64, view uint64, node string, epoch int64, state v1alpha1.GroupState) replica.Entry {
		id := model.ViewID{Number: view, Coordinator: 1}
		return replica.Entry{
			ID: replica.EntryID{View: id, Session: 1, Number: number}, Time: decidedAt.Add(time.Duration(number) * time.Second),
			Namespace: "demo", Name: "shop", UID: "u", Decided: true,
			Status: &v1alpha1.ResourceGroupStatus{State: state, Assignment: &v1alpha1.Assignment{
				Node: node, NodeID: 2, Generation: 1, Epoch: epoch, ViewID: v1alpha1.ViewID{Number: int64(view), Coordinator: 1},
			}},
			Events: []status.Event{{Reason: string(state), Action: "Observe", Note: node}},
		}
	}
	b := &busy{t: t, cluster: &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}}
	var err error
	b.page, b.token, _, err = replica.Page([]replica.Entry{
		e(1, 9, "b", 518, v1alpha1.GroupPending), e(2, 9, "b", 518, v1alpha1.GroupOnline),
		e(3, 10, "c", 1030, v1alpha1.GroupPending), e(4, 10, "c", 1030, v1alpha1.GroupOnline),
	})
	if err != nil {
		t.Fatal(err)
	}
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: "u"}}
	b.Client = fake.NewClientBuilder().WithScheme(schemeOf(t)).WithStatusSubresource(g, b.cluster).WithObjects(g, b.cluster).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceUpdate: b.count}).Build()
	return b
}

// count is what the other controller does.
func (b *busy) count(ctx context.Context, c client.Client, sub string, o client.Object, options ...client.SubResourceUpdateOption) error {
	if err := c.SubResource(sub).Update(ctx, o, options...); err != nil {
		return err
	}
	if g, is := o.(*v1alpha1.ResourceGroup); is {
		b.states = append(b.states, g.Status.State)
		counted := &v1alpha1.Cluster{}
		if err := c.Get(ctx, client.ObjectKey{Name: "demo"}, counted); err != nil {
			return err
		}
		counted.Status.GroupsOnline = int32(len(b.states))
		return c.SubResource(sub).Update(ctx, counted)
	}
	return nil
}

// catchUp is an attempt of a manager that has just read everything.
func (b *busy) catchUp() (acknowledged string) {
	b.t.Helper()
	n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
	n.Status = v1alpha1.NodeStatus{ID: 1, Agent: &v1alpha1.AgentStatus{Generation: 1, View: &v1alpha1.AgentView{
		ID: v1alpha1.ViewID{Number: 10, Coordinator: 1}, Quorate: true, Members: []v1alpha1.AgentViewMember{{ID: 1, Generation: 1, ReachesAPI: true}},
	}, Journal: &v1alpha1.AgentJournal{Pending: true, Page: b.page, Token: b.token}}}
	o := &snapshot.Objects{Name: "demo", Cluster: &v1alpha1.Cluster{}, Nodes: []*v1alpha1.Node{n}, Groups: []*v1alpha1.ResourceGroup{{}}}
	for key, into := range map[client.ObjectKey]client.Object{{Name: "demo"}: o.Cluster, {Namespace: "demo", Name: "shop"}: o.Groups[0]} {
		if err := b.Get(b.t.Context(), key, into); err != nil {
			b.t.Fatal(err)
		}
	}
	r := &Reconciler{Client: b, Clock: clocktesting.NewFakePassiveClock(decidedAt.Add(time.Hour)), Past: chronicle.NewPast(b, "test")}
	if err := r.catchUp(b.t.Context(), o); err != nil {
		b.t.Errorf("catching up: %v", err)
	}
	if err := b.Get(b.t.Context(), client.ObjectKey{Name: "demo"}, b.cluster); err != nil {
		b.t.Fatal(err)
	}
	return b.cluster.Status.JournalWritten
}

// A page is acknowledged although each of its entries changes what the Cluster's status counts: no later attempt would find it quieter.
func TestCatchUpOfABusyCluster(t *testing.T) {
	b := newBusy(t)
	if got := b.catchUp(); got != b.token {
		t.Errorf("acknowledged %q, want %q", got, b.token)
	}
	if n := b.cluster.Status.GroupsOnline; n != 4 {
		t.Errorf("what the other controller has counted is lost: %v", n)
	}
}

// A second attempt, by a manager that has not seen the acknowledgement, does not show the group's past once more, and tells no Event that did not
// happen.
func TestCatchUpDoesNotGoBack(t *testing.T) {
	b := newBusy(t)
	b.catchUp()
	b.cluster.Status.JournalWritten = ""
	if err := b.Status().Update(t.Context(), b.cluster); err != nil {
		t.Fatal(err)
	}
	first := len(b.states)
	if got := b.catchUp(); got != b.token {
		t.Errorf("acknowledged %q, want %q", got, b.token)
	}
	if again := b.states[first:]; len(again) > 0 {
		t.Errorf("the group was shown as %v once more", again)
	}
	var events eventsv1.EventList
	if err := b.List(t.Context(), &events); err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		if e.Reason == "Superseded" {
			t.Errorf("%s: %s, by a later entry of the same journal", e.Reason, e.Note)
		}
	}
	if len(events.Items) != 4 {
		t.Errorf("%d Events, want one for each entry", len(events.Items))
	}
}
