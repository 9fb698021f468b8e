package nodeagent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/snapshot"
)

// company is a cluster of journals whose membership, clock and API server are the test's. What a node's heartbeats say of its journal is what
// its shell had them say.
type company struct {
	t       *testing.T
	now     time.Duration
	view    *membership.View
	nodes   map[model.NodeID]*shell
	objects *snapshot.Objects
	reaches bool
	// holder holds the witness; needed says that views need its vote.
	holder model.NodeID
	needed bool
}

// shell is one node's journal with everything around it.
type shell struct {
	*journal
	net *company
	id  model.NodeID
	dir string
	// pending is what heartbeats say, mute why they cannot be changed; full why nothing can be written.
	pending    bool
	mute, full error
	sent       []model.NodeID
	asked      []*autonomy.Keep
	first      map[model.NodeID]*autonomy.Message
	floors     map[string]model.Epoch
	epoch      int64
	// cut keeps its messages from others.
	cut bool
}

func newNet(t *testing.T) *company {
	t.Helper()
	n := &company{t: t, now: time.Hour, nodes: map[model.NodeID]*shell{}, reaches: true}
	cluster := &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo", ResourceVersion: "5"}}
	cluster.Spec.AllowedResourceTypes = []v1alpha1.AllowedResourceTypes{{Name: "all", Namespaces: []string{"*"}, Types: []string{"*"}}}
	n.objects = &snapshot.Objects{Name: "demo", Cluster: cluster}
	for i, name := range []string{"node-a", "node-b", "node-c"} {
		o := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
		o.Status = v1alpha1.NodeStatus{ID: int32(i + 1), Generation: 1, Joins: 1}
		n.objects.Nodes = append(n.objects.Nodes, o)
	}
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: types.UID("u")}}
	g.Spec.ClusterName = "demo"
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "app", UID: "r", Generation: 1}}
	r.Spec = v1alpha1.ResourceSpec{GroupName: "shop", Type: v1alpha1.TypeGenericApplication, ResourceParameters: v1alpha1.ResourceParameters{
		GenericApplication: &v1alpha1.GenericApplication{Command: []string{"/bin/app"}},
	}}
	r.Status.Conditions = accepted(1, metav1.ConditionTrue)
	n.objects.Groups, n.objects.Resources = []*v1alpha1.ResourceGroup{g}, []*v1alpha1.Resource{r}
	n.assign("node-c", 3, 4)
	for id := range model.NodeID(3) {
		n.nodes[id+1] = &shell{net: n, id: id + 1, dir: t.TempDir()}
		n.start(id + 1)
	}
	n.nodes[3].epoch = 4
	n.install(8, 1, 2, 3)
	return n
}

// assign is a controller's decision.
func (n *company) assign(node string, id int32, epoch int64) {
	g := n.objects.Groups[0].DeepCopy()
	g.Status.Assignment = &v1alpha1.Assignment{Node: node, NodeID: id, Generation: 1, Epoch: epoch, ViewID: v1alpha1.ViewID{Number: 8, Coordinator: 1}}
	o := *n.objects
	o.Groups = []*v1alpha1.ResourceGroup{g}
	n.objects = &o
	for _, s := range n.nodes {
		s.touched()
	}
}

// acknowledge is the leading manager's word that a page is written.
func (n *company) acknowledge(token string) {
	o := *n.objects
	o.Cluster = o.Cluster.DeepCopy()
	o.Cluster.Status.JournalWritten = token
	n.objects = &o
	for _, s := range n.nodes {
		s.touched()
	}
}

// start starts the process of an agent.
func (n *company) start(id model.NodeID) *shell {
	s := n.nodes[id]
	s.first, s.floors = map[model.NodeID]*autonomy.Message{}, map[string]model.Epoch{}
	s.journal = &journal{
		log: testr.New(n.t).V(1), now: func() time.Duration { return n.now }, nodeName: n.objects.Nodes[id-1].Name, cluster: "demo",
		boot:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		standing: s.stand, acting: func() (model.Generation, time.Duration) { return 1, n.now + time.Minute },
		objects: func(context.Context) (*snapshot.Objects, error) { return n.objects, nil },
		begun:   func(*standing) bool { return true },
		report: func(map[string]v1alpha1.ResourceStatus) *autonomy.Report {
			return &autonomy.Report{Agent: &v1alpha1.AgentStatus{
				NodeID: int32(id), Generation: 1, Groups: []v1alpha1.AgentGroup{{UID: "u", Epoch: s.epoch, Generation: 1}},
			}}
		},
		say: func(_ context.Context, pending bool) error {
			if s.mute == nil {
				s.pending = pending
			}
			return s.mute
		},
		send: s.sends, raise: func(uid string, epoch model.Epoch) error { s.floors[uid] = max(s.floors[uid], epoch); return nil },
		changed: func() {}, keep: s.keeps, problems: newProblems(func() {}),
	}
	s.store = &journalStore{path: filepath.Join(s.dir, journalFile), failed: s.notWritten, write: func(path string, raw []byte) error {
		if s.full != nil {
			return s.full
		}
		if state, err := decodeJournal(raw); err != nil || state.Pending {
			if a, from := s.assignment(); a != nil {
				n.t.Errorf("node %d obeys %+v of the %s before its journal is on disk (%v)", id, a, from, err)
			}
		}
		return writeDurably(path, raw)
	}}
	s.open()
	if s.mute == nil {
		s.pending = s.machine.Pending()
	}
	s.touched()
	return s
}

// sends carries a message, and remembers the first to each node.
func (s *shell) sends(to model.NodeID, m *autonomy.Message) {
	s.sent = append(s.sent, to)
	if s.first[to] == nil {
		s.first[to] = m
	}
	if o := s.net.nodes[to]; !s.cut && !o.cut && s.net.view.Has(to) {
		o.receive(s.id, m)
	}
}

func (n *company) install(number uint64, ids ...model.NodeID) {
	n.view = &membership.View{ID: model.ViewID{Number: number, Coordinator: ids[0]}}
	for _, id := range ids {
		n.view.Members = append(n.view.Members, model.Member{ID: id, Generation: 1})
	}
}

// stand is the node's standing now.
func (s *shell) stand() *standing {
	n := s.net
	out := &standing{Settings: &Settings{Self: s.id, NodeName: s.nodeName, Autonomy: true}}
	out.Self, out.ReachesAPI = model.Member{ID: s.id, Generation: 1}, n.reaches
	out.Committed = quorum.NewRecord(1, 1, []model.NodeID{1, 2, 3})
	out.Witness.Holding, out.Witness.Needed = n.holder == s.id, n.needed
	if n.view.Has(s.id) {
		out.View, out.ViewSince, out.Acting, out.ActingUntil = n.view, n.now, true, n.now+time.Minute
	}
	if n.reaches {
		out.Reporter = n.view.Members[0].ID
	}
	for id, o := range n.nodes {
		if id != s.id && n.view.Has(id) {
			out.Peers = append(out.Peers, membership.PeerStatus{ID: id, Generation: 1, View: n.view, Pending: o.pending, ReachesAPI: n.reaches})
		}
	}
	return out
}

// pass lets time pass.
func (n *company) pass(d time.Duration) {
	n.t.Helper()
	for end := n.now + d; n.now < end; n.now += 20 * time.Millisecond {
		for _, id := range []model.NodeID{1, 2, 3} {
			if n.view.Has(id) {
				n.nodes[id].changedHere()
				n.nodes[id].turn(n.t.Context())
			}
		}
	}
}

// api is a world that stands for what the API server shows.
var apiWorld = &world{}

// assignment is the group's assignment as this node is to take it; nil when it may obey none, with from the API server or the journal.
func (s *shell) assignment() (a *v1alpha1.Assignment, from string) {
	s.net.t.Helper()
	w, release := s.gate.hold(s.stand(), apiWorld)
	defer release()
	switch w {
	case nil:
		return nil, ""
	case apiWorld:
		return s.net.objects.Groups[0].Status.Assignment, "API server"
	}
	groups, err := w.groups(s.net.t.Context(), "demo")
	if err != nil || len(groups) != 1 {
		s.net.t.Fatalf("%d groups, %v", len(groups), err)
	}
	return groups[0].Status.Assignment, "journal"
}

// lose takes node c, which has the group, out of the view while nobody reaches the API server.
func lose(t *testing.T) *company {
	t.Helper()
	n := newNet(t)
	n.pass(2 * time.Second)
	n.reaches = false
	n.pass(time.Second)
	n.install(9, 1, 2)
	n.pass(time.Second)
	return n
}

// TestJournalDecides: the group of a lost node goes to one that is there, on every member the same; it is on their disks before, and the
// epochs below are not obeyed any more.
func TestJournalDecides(t *testing.T) {
	n := lose(t)
	for _, id := range []model.NodeID{1, 2} {
		s := n.nodes[id]
		a, from := s.assignment()
		if from != "journal" || a.Node == "node-c" || a.Node == "" || a.Epoch <= 4 || !s.pending {
			t.Fatalf("node %d goes by %+v of the %s: %s", id, a, from, s.machine)
		}
		if len(a.Unproven) != 1 || a.Unproven[0].Node != "node-c" {
			t.Errorf("unproven %+v, want node-c", a.Unproven)
		}
		raw, err := os.ReadFile(s.store.path)
		if err != nil {
			t.Fatal(err)
		}
		disk, err := decodeJournal(raw)
		if err != nil || !disk.Pending || replica.EpochOf(disk.Copy.Groups[0]) != a.Epoch {
			t.Errorf("node %d: %v, on its disk: %+v", id, err, disk)
		}
		if s.floors["u"] != model.Epoch(a.Epoch) {
			t.Errorf("node %d obeys epochs from %d, want %d", id, s.floors["u"], a.Epoch)
		}
	}
}

// TestSavedBeforeSent: while the state cannot be written nothing is sent, nothing is said and nothing is obeyed (J2).
func TestSavedBeforeSent(t *testing.T) {
	n := newNet(t)
	n.pass(2 * time.Second)
	b := n.nodes[2]
	if _, from := b.assignment(); from != "API server" {
		t.Fatalf("b obeys %q", from)
	}
	b.full, n.reaches = errors.New("the disk is full"), false
	n.pass(2 * time.Second)
	a, from := b.assignment()
	if len(b.sent) != 0 || b.pending || a != nil {
		t.Errorf("b has sent to %v, its heartbeats say %t, and it obeys %+v of the %s", b.sent, b.pending, a, from)
	}
	if list := b.problems.list(); len(list) != 1 || list[0].Reason != problemJournal {
		t.Errorf("problems %v", list)
	}
	b.full = nil
	n.pass(time.Second)
	if _, from := b.assignment(); len(b.sent) == 0 || !b.pending || from != "journal" || len(b.problems.list()) != 0 {
		t.Errorf("b has sent to %v, its heartbeats say %t, and it obeys the %s", b.sent, b.pending, from)
	}
}

// TestHeldUntilTold: what the machine sends waits until the heartbeats say that the node goes by its journal.
func TestHeldUntilTold(t *testing.T) {
	n := newNet(t)
	n.pass(2 * time.Second)
	b := n.nodes[2]
	b.mute, n.reaches = errors.New("no heartbeats are sent"), false
	n.pass(2 * time.Second)
	if len(b.sent) != 0 || b.said.Load() {
		t.Errorf("b has sent to %v before its heartbeats say anything", b.sent)
	}
	if _, from := b.assignment(); from == "API server" {
		t.Error("b obeys the API server although it has joined a session")
	}
	b.mute = nil
	n.pass(time.Second)
	if len(b.sent) == 0 || !b.said.Load() {
		t.Error("b is silent although its heartbeats say it")
	}
}

// TestNothingObeyedInBetween: a node whose peer goes by a journal obeys the API server no more, from its very next look, and in a view whose
// members it has not heard in it, it obeys nobody.
func TestNothingObeyedInBetween(t *testing.T) {
	n := newNet(t)
	n.pass(time.Second)
	a := n.nodes[1]
	n.nodes[2].pending = true
	if got, from := a.assignment(); got != nil {
		t.Errorf("a obeys the %s beside a member with a journal, before its own journal has looked", from)
	}
	n.nodes[2].pending = false
	n.install(9, 1, 2, 3)
	if got, from := a.assignment(); got != nil {
		t.Errorf("a obeys the %s in a view that its journal has not seen", from)
	}
	if a.gate.now().publishes(a.stand()) {
		t.Error("a publishes a view whose members have not told")
	}
	n.pass(100 * time.Millisecond)
	if _, from := a.assignment(); from != "API server" || !a.gate.now().publishes(a.stand()) {
		t.Errorf("a obeys %q", from)
	}
}

// TestTellsBeforeItJoins: with its first answer a member tells the newest that the API server has shown it, and what is on it (J7).
func TestTellsBeforeItJoins(t *testing.T) {
	n := newNet(t)
	n.pass(2 * time.Second)
	b := n.nodes[2]
	b.copied = n.now
	n.assign("node-b", 2, 5) // it would be copied a second later
	b.epoch, n.reaches = 5, false
	n.pass(2 * time.Second)
	m := b.first[1]
	if m == nil || m.Follow == nil || m.Follow.Copy == nil || m.Follow.Report == nil {
		t.Fatalf("the first answer: %+v", m)
	}
	if got := replica.EpochOf(m.Follow.Copy.Groups[0]); got != 5 || m.Follow.Report.Agent.Groups[0].Epoch != 5 {
		t.Errorf("told epoch %d, and that %+v is here", got, m.Follow.Report.Agent.Groups)
	}
}

// TestKeptOverRestart: an agent that is started again goes by its journal from the first, without anybody's help, and says so.
func TestKeptOverRestart(t *testing.T) {
	n := lose(t)
	want, _ := n.nodes[2].assignment()
	s := n.start(2)
	if a, from := s.assignment(); a != nil {
		t.Errorf("obeys %+v of the %s before anything is read", a, from)
	}
	if !s.machine.Pending() {
		t.Fatal("the journal is forgotten")
	}
	s.turn(t.Context())
	if a, from := s.assignment(); from != "journal" || a.Epoch != want.Epoch || !s.said.Load() {
		t.Errorf("obeys %+v of the %q", a, from)
	}
}

// TestUnreadableJournal: a node whose file is damaged obeys nobody, says that it has lost a journal, and gets the others' (J5). The file is
// kept.
func TestUnreadableJournal(t *testing.T) {
	n := lose(t)
	s := n.nodes[2]
	if err := os.WriteFile(s.store.path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cut, s.full = true, errors.New("the disk is full")
	s = n.start(2)
	s.turn(t.Context())
	s.full = nil
	s = n.start(2) // what was read and not written is read again
	s.turn(t.Context())
	if a, from := s.assignment(); a != nil || !s.machine.Lost() || !s.pending {
		t.Errorf("obeys %+v of the %s, %s", a, from, s.machine)
	}
	if raw, err := os.ReadFile(s.store.path + unreadableSuffix); err != nil || string(raw) != "rubbish" {
		t.Errorf("kept %q, %v", raw, err)
	}
	if w := s.gate.now().word; w == nil || !w.Lost || !w.Pending {
		t.Errorf("status.agent.journal is %+v", w)
	}
	if again := n.start(2); !again.machine.Lost() || !again.machine.Pending() {
		t.Errorf("after another start: %s", again.machine)
	}
	n.nodes[2].cut = false
	n.pass(2 * time.Second)
	if _, from := n.nodes[2].assignment(); from != "journal" {
		t.Errorf("obeys %q after the others have told: %s", from, n.nodes[2].machine)
	}
}

// TestPublishesAndEnds: with the API server back, the reporter publishes the journal, nothing that controllers write is obeyed before it is
// acknowledged, and then everybody obeys the API server again.
func TestPublishesAndEnds(t *testing.T) {
	n := lose(t)
	before, _ := n.nodes[1].assignment()
	n.reaches = true
	n.assign("node-b", 2, 90000)
	n.pass(time.Second)
	for _, id := range []model.NodeID{1, 2} {
		if a, from := n.nodes[id].assignment(); from != "journal" || a.Epoch != before.Epoch {
			t.Errorf("node %d obeys %+v of the %s", id, a, from)
		}
	}
	word := n.nodes[1].gate.now().word
	if word == nil || !word.Pending || word.Token == "" || n.nodes[2].gate.now().word.Token != "" {
		t.Fatalf("the reporter publishes %+v", word)
	}
	entries, err := replica.ReadPage(word.Page)
	if err != nil || !slices.ContainsFunc(entries, func(e replica.Entry) bool { return e.Status.Assignment.Epoch == before.Epoch }) {
		t.Fatalf("%v: %v", entries, err)
	}
	n.acknowledge(word.Token)
	n.pass(3 * time.Second)
	for _, id := range []model.NodeID{1, 2} {
		s := n.nodes[id]
		if _, from := s.assignment(); from != "API server" || s.pending || s.gate.now().word != nil {
			t.Errorf("node %d obeys the %q, its heartbeats say %t: %s", id, from, s.pending, s.machine)
		}
	}
}

// TestAcknowledgedAsTheViewChanges: the acknowledgement is seen in the moment in which the session that asked for it ends with its view. The
// next session looks for it by itself: the API server may show nothing new for long.
func TestAcknowledgedAsTheViewChanges(t *testing.T) {
	n := lose(t)
	n.reaches = true
	n.pass(time.Second)
	word := n.nodes[1].gate.now().word
	if word == nil || word.Token == "" {
		t.Fatalf("the reporter publishes %+v", word)
	}
	n.install(10, 1, 2)
	n.acknowledge(word.Token)
	n.pass(3 * time.Second)
	for _, id := range []model.NodeID{1, 2} {
		s := n.nodes[id]
		if _, from := s.assignment(); from != "API server" || s.gate.now().word != nil {
			t.Errorf("node %d obeys the %q: %s", id, from, s.machine)
		}
	}
}

// TestBusyBeginning: while a life begins it is not known what is on the node: it joins no session.
func TestBusyBeginning(t *testing.T) {
	n := newNet(t)
	n.pass(time.Second)
	b, begun := n.nodes[2], false
	b.begun = func(*standing) bool { return begun }
	n.reaches = false
	n.pass(2 * time.Second)
	if b.pending || len(b.sent) != 0 {
		t.Error("b has joined before its life has begun")
	}
	begun = true
	n.pass(time.Second)
	if !b.pending {
		t.Error("b has not joined")
	}
}

// TestNotAllowed: where the Cluster does not allow it, nothing is written, asked or decided.
func TestNotAllowed(t *testing.T) {
	n := newNet(t)
	for _, s := range n.nodes {
		stand := s.stand
		s.journal.standing = func() *standing { out := stand(); out.Settings.Autonomy = false; return out }
	}
	n.pass(time.Second)
	n.reaches = false
	n.pass(time.Second)
	n.install(9, 1, 2)
	for _, id := range []model.NodeID{1, 2} {
		s := n.nodes[id]
		s.turn(t.Context())
		if _, from := s.assignment(); from != "API server" || !s.gate.now().publishes(s.journal.standing()) {
			t.Errorf("node %d obeys %q", id, from)
		}
		if _, err := os.Stat(s.store.path); !os.IsNotExist(err) {
			t.Errorf("node %d has written its journal: %v", id, err)
		}
	}
}

func FuzzDecodeJournal(f *testing.F) {
	c := replica.Of(newObjects())
	raw, err := encodeJournal(&autonomy.State{Pending: true, Copy: c, Journal: []replica.Entry{{UID: "u", Status: &v1alpha1.ResourceGroupStatus{}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, raw []byte) {
		s, err := decodeJournal(raw)
		if err != nil || s.Copy == nil {
			return
		}
		s.Copy.Apply(s.Journal) // what is accepted can be used
		replica.Newest(s.Copy, replica.Of(newObjects()))
	})
}

func newObjects() *snapshot.Objects {
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: "u"}}
	g.Status.Assignment = &v1alpha1.Assignment{Node: "a", Epoch: 3}
	return &snapshot.Objects{
		Name: "demo", Cluster: &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}, Groups: []*v1alpha1.ResourceGroup{g},
		Nodes: []*v1alpha1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}},
	}
}

// TestKeeperObeysJournal: while a journal is pending its assignments are obeyed, those of the API server are not, nothing is taken for deleted,
// and no API server is needed. With shut orders nothing is told to the monitor, and what has waited is looked at after them.
func TestKeeperObeysJournal(t *testing.T) {
	g, r := shop()
	b := newBench(t, g, r)
	there, ours := g.DeepCopy(), g.DeepCopy()
	ours.Status.Assignment.Epoch = 600
	copied := &snapshot.Objects{
		Name: "demo", Groups: []*v1alpha1.ResourceGroup{ours}, Resources: []*v1alpha1.Resource{r},
		Cluster: &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}},
		Nodes:   []*v1alpha1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}},
	}
	b.keeper.begun = 3
	gate := b.keeper.orders
	gate.shut()
	b.want(b.groups())
	if !gate.set(&orders{pending: true, journal: newCopyWorld(copied, b.api)}) {
		t.Error("nobody is told that somebody was refused")
	}
	b.want(b.groups(), "apply g1 run=true epoch=600 resources=1 frozen=false")
	there.Status.Assignment.Epoch = 700
	b.update(there)
	b.want(b.groups())
	b.monitor.reports = []monitor.GroupReport{{Group: resourcetype.Identity{UID: "gone", Namespace: "demo", Name: "shop"}}}
	b.keeper.touch(nil)
	b.keeper.groups(t.Context(), false)
	b.want(b.monitor.take())
	b.monitor.reports = nil
	gate.set(&orders{api: true})
	b.want(b.groups(), "apply g1 run=true epoch=700 resources=1 frozen=false")
}
