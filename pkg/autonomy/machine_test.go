package autonomy

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
)

// world is a cluster of machines whose membership the test says, with an API server that shows objects to who reaches it.
type world struct {
	t        *testing.T
	now      time.Duration
	view     *membership.View
	machines map[model.NodeID]*Machine
	disks    map[model.NodeID]*State
	reaches  map[model.NodeID]bool
	deaf     map[model.NodeID]bool
	record   *quorum.Record
	// needed says that the views need the witness's vote; witness is what they share of it, nil for none.
	needed  bool
	witness *shared
	running map[model.NodeID]int64
	objects *snapshot.Objects
	serial  uint64
	// replies are the answers to what was asked on a member; released is the epoch up to which every owner has let go.
	replies  map[model.NodeID][]Reply
	released int64
}

var names = map[model.NodeID]string{1: "a", 2: "b", 3: "c"}

func newWorld(t *testing.T, owner model.NodeID, epoch int64) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Hour, machines: map[model.NodeID]*Machine{}, disks: map[model.NodeID]*State{}, reaches: map[model.NodeID]bool{},
		deaf: map[model.NodeID]bool{}, running: map[model.NodeID]int64{owner: epoch}, replies: map[model.NodeID][]Reply{},
	}
	w.record = quorum.NewRecord(1, 1, []model.NodeID{1, 2, 3})
	cluster := &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo", ResourceVersion: "5"}}
	cluster.Spec.AllowedResourceTypes = []v1alpha1.AllowedResourceTypes{{Name: "all", Namespaces: []string{"*"}, Types: []string{"*"}}}
	w.objects = &snapshot.Objects{Name: "demo", Cluster: cluster}
	for id, name := range names {
		n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
		n.Status = v1alpha1.NodeStatus{ID: int32(id), Generation: 1, Joins: 1}
		w.objects.Nodes = append(w.objects.Nodes, n)
	}
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: types.UID("u")}}
	g.Spec.ClusterName = "demo"
	g.Status.Assignment = &v1alpha1.Assignment{
		Node: names[owner], NodeID: int32(owner), Generation: 1, Epoch: epoch, ViewID: v1alpha1.ViewID{Number: 7, Coordinator: 1},
	}
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "app", UID: "r"}}
	r.Spec = v1alpha1.ResourceSpec{GroupName: "shop", Type: v1alpha1.TypeGenericApplication, ResourceParameters: v1alpha1.ResourceParameters{
		GenericApplication: &v1alpha1.GenericApplication{Command: []string{"/bin/app"}},
	}}
	w.objects.Groups, w.objects.Resources = []*v1alpha1.ResourceGroup{g}, []*v1alpha1.Resource{r}
	w.objects.Sort()
	for id := range names {
		w.start(id)
	}
	w.install(8, 1, 2, 3)
	for _, m := range w.machines {
		m.Seen(w.objects)
	}
	return w
}

func (w *world) start(id model.NodeID) {
	w.machines[id] = New(Config{Self: id, Node: names[id], Cluster: "demo", Decides: true, Boot: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, w.disks[id], w.now)
}

// install gives the members a view.
func (w *world) install(number uint64, ids ...model.NodeID) {
	w.view = &membership.View{ID: model.ViewID{Number: number}}
	if len(ids) > 0 {
		w.view.ID.Coordinator = ids[0]
	}
	for _, id := range ids {
		w.view.Members = append(w.view.Members, model.Member{ID: id, Generation: 1})
	}
	w.observe()
}

func (w *world) observe() {
	for id, m := range w.machines {
		st := &membership.Status{Self: model.Member{ID: id, Generation: 1}, ReachesAPI: w.reaches[id], Committed: w.record}
		if w.view.Has(id) {
			st.View, st.ViewSince, st.Acting, st.ActingUntil = w.view, w.now, true, w.now+time.Minute
		}
		st.Witness.Needed, st.Witness.Holding = w.needed, w.witness != nil && w.witness.holder == id
		for other, o := range w.machines {
			if other != id && w.view.Has(other) {
				st.Peers = append(st.Peers, membership.PeerStatus{ID: other, Generation: 1, View: w.view, Pending: o.Pending(), ReachesAPI: w.reaches[other]})
			}
		}
		m.Observe(w.now, st)
	}
}

// pass lets time pass, with everything that is sent.
func (w *world) pass(d time.Duration) {
	for end := w.now + d; w.now < end; w.now += 20 * time.Millisecond {
		w.observe()
		for id, m := range w.machines {
			w.serial++
			m.Report(&Report{Serial: w.serial, Agent: &v1alpha1.AgentStatus{
				NodeID: int32(id), Generation: 1, Groups: []v1alpha1.AgentGroup{{UID: "u", Epoch: w.running[id], Generation: 1, Released: w.released}},
			}})
			m.Tick(w.now)
			if w.reaches[id] {
				m.Seen(w.objects)
			}
		}
		w.carry()
	}
}

func (w *world) carry() {
	for range 200 {
		quiet := true
		for id, m := range w.machines {
			out := m.Ready()
			if out.Save != nil {
				w.disks[id] = out.Save
			}
			w.replies[id] = append(w.replies[id], out.Replies...)
			w.witness.put(w, id, out.Keep)
			for _, e := range out.Send {
				to := w.machines[e.To]
				if to == nil || w.deaf[e.To] || w.deaf[id] {
					continue
				}
				quiet = false
				to.Receive(w.now, id, &e.Message)
			}
		}
		if quiet {
			return
		}
	}
}

func (w *world) assignment(id model.NodeID) *v1alpha1.Assignment {
	o := w.machines[id].Objects()
	if o == nil {
		return nil
	}
	return o.Groups[0].Status.Assignment
}

func (w *world) reach(reaches bool) {
	for id := range names {
		w.reaches[id] = reaches
	}
}

// lose takes node c, which has the group, out of the view while nobody reaches the API server.
func lose(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 3, 4)
	w.reach(true)
	w.pass(time.Second)
	w.reach(false)
	w.pass(time.Second)
	w.install(9, 1, 2)
	w.pass(time.Second)
	return w
}

func TestDecidesWithoutTheAPI(t *testing.T) {
	w := lose(t)
	for _, id := range []model.NodeID{1, 2} {
		a := w.assignment(id)
		if !w.machines[id].Pending() || a.Node == "c" || a.Node == "" || a.Epoch <= 4+epochJump || a.ViewID.Number != 9 {
			t.Fatalf("node %d: %s, assignment %+v", id, w.machines[id], a)
		}
		if len(a.Unproven) != 1 || a.Unproven[0].Node != "c" {
			t.Errorf("unproven %+v, want c", a.Unproven)
		}
		if w.disks[id] == nil || !w.disks[id].Pending || len(w.disks[id].Journal) == 0 {
			t.Errorf("node %d: what is obeyed is not on its disk", id)
		}
	}
}

func TestNothingIsDecided(t *testing.T) {
	cases := map[string]func(w *world){
		"while a member reaches the API server": func(w *world) { w.reaches[2] = true },
		"before the waiting time is over":       func(w *world) { w.reach(true); w.pass(100 * time.Millisecond); w.reach(false) },
		"while a member has not joined":         func(w *world) { w.deaf[2] = true },
		"in a view that needs the vote of a witness that nobody has read": func(w *world) {
			w.needed = true
		},
		"when the Cluster does not allow it": func(w *world) {
			for id, m := range w.machines {
				m.Configure(Config{Self: id, Node: names[id], Cluster: "demo"})
			}
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3, 4)
			w.reach(true)
			w.pass(time.Second)
			w.reach(false)
			change(w)
			w.install(9, 1, 2)
			w.pass(DefaultWait - 120*time.Millisecond)
			if name != "before the waiting time is over" {
				w.pass(2 * time.Second)
			}
			for _, id := range []model.NodeID{1, 2} {
				if a := w.assignment(id); a.Epoch != 4 {
					t.Errorf("node %d goes by %+v", id, a)
				}
			}
		})
	}
}

// TestNextCoordinatorKnows: what was decided is known to the view after the coordinator's death, and survives a restart of all.
func TestNextCoordinatorKnows(t *testing.T) {
	w := lose(t)
	before := w.assignment(2)
	delete(w.machines, 1)
	w.start(2)
	w.start(3)
	w.install(10, 2, 3)
	w.pass(time.Second)
	after := w.assignment(3)
	if after.Epoch < before.Epoch || len(w.disks[3].Journal) < len(w.disks[2].Journal) {
		t.Errorf("c goes by %+v after %+v, with %d entries of %d", after, before, len(w.disks[3].Journal), len(w.disks[2].Journal))
	}
}

// TestObeysAPI: a view with a member that has a journal obeys the API server on no member, until the journal is written.
func TestObeysAPI(t *testing.T) {
	w := lose(t)
	w.reach(true)
	w.start(3)
	w.install(10, 1, 2, 3)
	if w.machines[3].ObeysAPI() {
		t.Fatal("c obeys the API server beside members with a journal")
	}
	w.pass(time.Second)
	journal := w.machines[1].Journal()
	if len(journal) == 0 || w.machines[3].ObeysAPI() {
		t.Fatalf("journal %v, c: %s", journal, w.machines[3])
	}
	w.written(journal)
	w.pass(3 * time.Second)
	for id, m := range w.machines {
		if m.Pending() || !m.ObeysAPI() {
			t.Errorf("node %d: %s", id, m)
		}
	}
}

// TestLostJournal: a member that was in a view with a journal which it did not get says so.
func TestLostJournal(t *testing.T) {
	w := lose(t)
	w.deaf[3] = true
	w.install(10, 1, 2, 3)
	w.observe()
	delete(w.machines, 1)
	delete(w.machines, 2)
	w.install(11, 3)
	if m := w.machines[3]; !m.Lost() || !m.Pending() {
		t.Errorf("c: %s", m)
	}
}

// TestRestartInSession: a member whose process is started again in the same view is told everything anew.
func TestRestartInSession(t *testing.T) {
	w := lose(t)
	want := w.assignment(2).Epoch
	w.start(2)
	w.pass(2 * time.Second)
	if f := w.machines[2].follow; f == nil || !f.begun || w.assignment(2).Epoch < want {
		t.Errorf("b: %s, epoch %d, want %d", w.machines[2], w.assignment(2).Epoch, want)
	}
}

// TestNobodyKnowsAnything: members that have lost what they knew form a session, decide nothing, and obey the API server when it is back.
func TestNobodyKnowsAnything(t *testing.T) {
	w := newWorld(t, 3, 4)
	for _, id := range []model.NodeID{1, 2, 3} {
		w.disks[id] = &State{Pending: true, Lost: true}
		w.start(id)
	}
	w.install(9, 1, 2)
	w.pass(2 * time.Second)
	for _, id := range []model.NodeID{1, 2} {
		if o := w.machines[id].Objects(); o == nil || len(o.Groups) != 0 || w.machines[id].ObeysAPI() {
			t.Errorf("node %d: %s, goes by %+v", id, w.machines[id], o)
		}
	}
	w.reach(true)
	w.pass(3 * time.Second)
	for _, id := range []model.NodeID{1, 2} {
		if m := w.machines[id]; m.Pending() || !m.ObeysAPI() || !m.Lost() {
			t.Errorf("node %d: %s", id, m)
		}
	}
}

// TestMembersStay: a group of mode LoadBalanced is not decided about: the journal knows one assignment of a group.
func TestMembersStay(t *testing.T) {
	w := newWorld(t, 3, 4)
	g := w.objects.Groups[0].DeepCopy()
	g.Spec.Mode = v1alpha1.GroupModeLoadBalanced
	w.objects.Groups[0] = g
	w.reach(true)
	w.pass(time.Second)
	w.reach(false)
	w.pass(time.Second)
	w.install(9, 1, 2)
	w.pass(time.Second)
	if a := w.assignment(1); !w.machines[1].Pending() || a.Epoch != 4 || len(w.disks[1].Journal) != 0 {
		t.Errorf("a goes by %+v, with a journal of %d entries", a, len(w.disks[1].Journal))
	}
}

// written is the leading manager's word that a journal of one page is in the API server.
func (w *world) written(journal []replica.Entry) {
	w.t.Helper()
	_, token, n, err := replica.Page(journal)
	if err != nil || n != len(journal) {
		w.t.Fatal(n, err)
	}
	c := w.objects.Cluster.DeepCopy()
	c.Status.JournalWritten = token
	w.objects.Cluster = c
}
