package nodeagent

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
)

const (
	// journalTick is how often time passes for a session, or while one may be needed.
	journalTick = 100 * time.Millisecond
	// journalRetry is when something that has failed, a write or the word in the heartbeats, is tried again.
	journalRetry = 20 * time.Millisecond
	// journalIdle is how long the loop sleeps when nothing happens.
	journalIdle = 10 * time.Second
	// copyRest is how often, at most, the copy of what the API server shows is written while it is reached.
	copyRest = time.Second
)

// problemJournal is the reason of a journal that cannot be written, and of one that could not be read, which has a part of its own.
const (
	problemJournal  = "JournalNotUsable"
	partJournalLost = "JournalLost"
)

// journal is the node's part in what is decided without the API server (package autonomy): the disk, the network, the heartbeats and the
// groups around its machine. One goroutine runs it; touched, reported, receive and wakeUp may be called by others.
//
// Everything that the machine wants to tell waits until its state is on disk and the heartbeats say whether the node goes by it; in between
// nothing is obeyed.
type journal struct {
	log      logr.Logger
	now      func() time.Duration
	nodeName string
	cluster  string
	boot     time.Time
	store    *journalStore
	standing func() *standing
	// acting is the life that may act, and until when, by the lease: newer than the standing.
	acting func() (model.Generation, time.Duration)
	// objects are what the API server shows; without a Cluster when that is not known.
	objects func(context.Context) (*snapshot.Objects, error)
	// begun says that the standing's life has begun: what is on this node is known.
	begun func(*standing) bool
	// report gathers what is on this node.
	report func(before map[string]v1alpha1.ResourceStatus) *autonomy.Report
	// say has the heartbeats tell whether the node goes by its journal; when it returns nil, they do.
	say  func(context.Context, bool) error
	send func(to model.NodeID, m *autonomy.Message)
	// raise keeps an epoch below which nothing is obeyed any more.
	raise func(uid string, epoch model.Epoch) error
	// changed is called when what the node goes by may have changed.
	changed func()
	// keep puts a state on the witness while this node holds it; kept is called when it is there.
	keep     func(*autonomy.Keep)
	problems *problems
	direct   client.Reader

	gate gate
	desk desk
	wake chan struct{}

	mu    sync.Mutex
	inbox map[model.NodeID]*autonomy.Message
	// shown says that the API server has shown something new, news that something on this node has changed.
	shown, news bool
	// load is what a load of the witness has found, arrived what is on the witness since; nil for nothing new.
	load    *load
	arrived *arrival
	// wantsShown and wantsNews say that the loop is woken for it.
	wantsShown, wantsNews bool

	// The rest belongs to the loop.
	machine *autonomy.Machine
	cfg     autonomy.Config
	last    *standing
	// saved is on disk, unsaved must be before anything is sent or obeyed.
	saved, unsaved *autonomy.State
	held           map[model.NodeID]*autonomy.Message
	// unkept goes to the witness when all that came before it is on disk; loading is a load that has not ended.
	unkept  *autonomy.Keep
	loading *load
	// told is what heartbeats say; nil before they have said anything. said tells others that it is what they are to say.
	told     *bool
	said     atomic.Bool
	spoken   map[string]v1alpha1.ResourceStatus
	reported *autonomy.Report
	raised   map[string]model.Epoch
	world    *world
	copied   time.Duration
	word     *v1alpha1.AgentJournal
	obeyed   bool
	// complained is why the heartbeats did not say what they are to say.
	complained string
}

// open reads what is on disk and makes the machine. It returns whether heartbeats must say from the first that the node goes by it.
func (j *journal) open() (pending bool) {
	state, err := j.store.load()
	if err != nil {
		j.log.Error(err, "What was decided without the API server is not known here any more")
		j.problems.set(partJournalLost, []v1alpha1.AgentProblem{{Reason: problemJournal, Object: journalFile, Message: err.Error()}})
		j.unsaved = state
	}
	j.saved = state
	j.wake, j.inbox, j.held = make(chan struct{}, 1), map[model.NodeID]*autonomy.Message{}, map[model.NodeID]*autonomy.Message{}
	j.spoken, j.raised = map[string]v1alpha1.ResourceStatus{}, map[string]model.Epoch{}
	j.cfg = autonomy.Config{Node: j.nodeName, Cluster: j.cluster, Boot: j.boot}
	j.machine = autonomy.New(j.cfg, state, j.now())
	if j.machine.Pending() {
		j.gate.shut()
		j.log.Info("This node goes by the journal of an earlier time without the API server", "state", j.machine.String())
	}
	return j.machine.Pending()
}

func (j *journal) wakeUp() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// touched notes that the API server shows something new.
func (j *journal) touched() {
	j.mu.Lock()
	j.shown = true
	wake := j.wantsShown
	j.mu.Unlock()
	if wake {
		j.wakeUp()
	}
}

// changedHere notes that something on this node has changed.
func (j *journal) changedHere() {
	j.mu.Lock()
	j.news = true
	wake := j.wantsNews
	j.mu.Unlock()
	if wake {
		j.wakeUp()
	}
}

// receive takes a message of another node. The newest of each counts: it has all that an earlier one had.
func (j *journal) receive(from model.NodeID, m *autonomy.Message) {
	j.mu.Lock()
	j.inbox[from] = m
	j.mu.Unlock()
	j.wakeUp()
}

// run makes a turn whenever something has happened, until ctx ends.
func (j *journal) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
		case <-timer.C:
		}
		timer.Reset(j.turn(ctx))
	}
}

// turn hands the machine what has happened, then does what follows. It returns how long to sleep.
func (j *journal) turn(ctx context.Context) time.Duration {
	s := j.standing()
	j.configure(s)
	inbox, shown, news := j.take(s)
	load, arrived := j.takeWitness()
	switch pending := j.machine.Pending(); {
	case !pending && (j.mayJoin(s, inbox) || load != nil && (load.unread != "" || load.state != nil && load.state.Pending)):
		// Before it goes by the journal it tells all that it has obeyed until now (J7): from here on it obeys nothing.
		j.gate.shut()
		j.see(ctx, shown)
		j.tell(s, true)
	case pending:
		j.see(ctx, shown || s.ReachesAPI && j.machine.Awaits())
		j.tell(s, news)
	case j.cfg.Decides && j.now()-j.copied >= copyRest:
		j.see(ctx, shown)
	}
	j.observe(s)
	j.fromWitness(load, arrived)
	for _, from := range slices.Sorted(maps.Keys(inbox)) {
		j.machine.Receive(j.now(), from, inbox[from])
	}
	j.machine.Tick(j.now())
	j.attend()
	return j.settle(ctx)
}

// take takes what has arrived since the last turn. Messages wait until a life has begun: before, it is not known what is on this node.
func (j *journal) take(s *standing) (inbox map[model.NodeID]*autonomy.Message, shown, news bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	shown, news, j.news = j.shown, j.news, false
	if !j.begun(s) {
		return nil, shown, news
	}
	inbox, j.inbox = j.inbox, map[model.NodeID]*autonomy.Message{}
	return inbox, shown, news
}

// configure takes over what the settings say.
func (j *journal) configure(s *standing) {
	if s.Settings == nil {
		return
	}
	cfg := j.cfg
	cfg.Self, cfg.Decides = s.Settings.Self, s.Settings.Autonomy
	if cfg == j.cfg {
		return
	}
	if cfg.Decides != j.cfg.Decides {
		j.log.Info("Decisions without the API server", "allowed", cfg.Decides)
	}
	j.cfg = cfg
	j.machine.Configure(cfg)
}

// mayJoin says that the node may go by the journal after this turn: it is asked to, or it may open a session itself.
func (j *journal) mayJoin(s *standing, inbox map[model.NodeID]*autonomy.Message) bool {
	for _, m := range inbox {
		if m.Lead != nil {
			return true
		}
	}
	if !s.Acting || s.View == nil || s.View.ID.Coordinator != s.Self.ID {
		return false
	}
	return s.membersPending() || j.cfg.Decides && !s.anyReaches()
}

// see hands in what the API server shows, if there is anything new.
func (j *journal) see(ctx context.Context, shown bool) {
	if !shown {
		return
	}
	j.mu.Lock()
	j.shown = false
	j.mu.Unlock()
	o, err := j.objects(ctx)
	if err != nil {
		j.log.Info("What the API server shows is looked at again", "reason", err.Error())
		j.touched()
		return
	}
	j.copied = j.now()
	j.machine.Seen(o)
}

// tell hands in what is on this node, if it has changed.
func (j *journal) tell(s *standing, news bool) {
	last := j.reported
	another := last == nil || last.Agent.Generation != int64(s.Self.Generation)
	if !j.begun(s) || !news && !another {
		return
	}
	r := j.report(j.spoken)
	r.Serial = uint64(j.now())
	if last != nil && reflect.DeepEqual(last.Agent, r.Agent) && reflect.DeepEqual(last.Resources, r.Resources) {
		return
	}
	j.reported = r
	j.machine.Report(r)
}

// observe hands in the standing. A member that reached the API server until now did so until now: the waiting time counts from here (J1).
func (j *journal) observe(s *standing) {
	if j.last != nil && j.last != s && j.last.anyReaches() {
		j.machine.Observe(j.now(), &j.last.Status)
	}
	st := s.Status
	if generation, until := j.acting(); st.Acting && generation == st.Self.Generation {
		st.ActingUntil = until
	}
	j.machine.Observe(j.now(), &st)
	j.last = s
}

// settle does what follows from the steps, in the order that makes promises hold over a crash: the disk, the epochs, the groups, the
// heartbeats, the network.
func (j *journal) settle(ctx context.Context) time.Duration {
	out := j.machine.Ready()
	j.noteAnswers(&out)
	switch {
	case out.Save == nil:
	case out.Changed || out.Save.Pending || j.unsaved != nil || j.saved != nil && j.saved.Pending:
		j.unsaved = out.Save
	default:
		j.saved = out.Save // a newer copy of what the API server shows, which nobody goes by
		j.store.later(out.Save)
	}
	for _, e := range out.Send {
		j.held[e.To] = &e.Message
	}
	if out.Keep != nil {
		j.unkept = out.Keep
	}
	if j.unsaved != nil {
		j.gate.shut()
		if err := j.write(); err != nil {
			j.problems.one(problemJournal, "", err.Error())
			j.log.Error(err, "Nothing is told and nothing is obeyed until it is written")
			return journalTick
		}
		j.problems.one(problemJournal, "", "")
	}
	if j.unkept != nil {
		j.keep(j.unkept)
		j.unkept = nil
	}
	j.order(out.Changed)
	j.answered()
	if err := j.deliver(ctx); err != nil {
		if ctx.Err() == nil && j.complained != err.Error() {
			j.complained = err.Error()
			j.log.Info("The heartbeats do not say yet whether this node goes by its journal", "reason", err.Error())
		}
		return journalRetry
	}
	j.complained = ""
	j.endLoad()
	return j.sleep()
}

// write puts the state on disk, and raises the epochs below which this node obeys nothing (O6).
func (j *journal) write() error {
	if err := j.store.now(j.unsaved); err != nil {
		return err
	}
	if j.unsaved.Pending && j.unsaved.Copy != nil {
		for _, g := range j.unsaved.Copy.Groups {
			uid, epoch := string(g.UID), model.Epoch(max(0, replica.EpochOf(g)))
			if epoch <= j.raised[uid] {
				continue
			}
			if err := j.raise(uid, epoch); err != nil {
				return fmt.Errorf("keeping epoch %d of group %s/%s: %w", epoch, g.Namespace, g.Name, err)
			}
			j.raised[uid] = epoch
		}
	}
	j.saved, j.unsaved, j.world = j.unsaved, nil, nil
	return nil
}

// order puts into force what the machine says now: all of it is on disk.
func (j *journal) order(changed bool) {
	m, s := j.machine, j.last
	o := &orders{view: s.View, decides: j.cfg.Decides, api: m.ObeysAPI(), pending: m.Pending(), told: m.Told(), word: j.wordOf()}
	if o.pending {
		if j.world == nil && j.saved.Copy != nil && j.saved.Copy.Cluster != nil {
			j.world = newCopyWorld(j.saved.Copy.Objects(j.cluster), j.direct)
		}
		o.journal, o.session, o.decided = j.world, m.String(), decidedIn(j.saved.Journal)
	}
	before := j.gate.now()
	if before.pending != o.pending {
		j.log.Info("Whom this node obeys", "journal", o.pending, "state", m.String())
	}
	if !m.Lost() {
		j.problems.set(partJournalLost, nil)
	}
	j.tellWitness()
	missed := j.gate.set(o)
	if changed || missed || o.api != j.obeyed || before.told != o.told || !reflect.DeepEqual(before.word, o.word) {
		j.obeyed = o.api
		j.changed()
	}
}

// wordOf is status.agent.journal. Only the reporter publishes what is to be written, a page at a time.
func (j *journal) wordOf() *v1alpha1.AgentJournal {
	m := j.machine
	pending := m.ViewPending()
	if !pending && !m.Lost() {
		return nil
	}
	out := &v1alpha1.AgentJournal{Pending: pending, Lost: m.Lost()}
	entries := m.Journal()
	if len(entries) == 0 || j.last.Reporter != j.last.Self.ID {
		return out
	}
	if w := j.word; w != nil && w.Token == replica.TokenOf(entries[:min(len(entries), replica.PageEntries)]) {
		out.Page, out.Token = w.Page, w.Token
		return out
	}
	page, token, _, err := replica.Page(entries)
	if err != nil {
		j.log.Error(err, "The journal cannot be published")
		return out
	}
	out.Page, out.Token, j.word = page, token, out
	return out
}

// deliver has the heartbeats say whether the node goes by its journal, then sends what has waited for it.
func (j *journal) deliver(ctx context.Context) error {
	if pending := j.machine.Pending(); j.told == nil || *j.told != pending {
		j.said.Store(false)
		if err := j.say(ctx, pending); err != nil {
			return err
		}
		j.told = &pending
		j.said.Store(true)
		j.changed() // a life may have waited for it
	}
	for to, m := range j.held {
		j.send(to, m)
	}
	clear(j.held)
	return nil
}

// sleep is how long nothing is to be done unless something happens.
func (j *journal) sleep() time.Duration {
	s := j.last
	busy := j.machine.ViewPending() || j.cfg.Decides && s.Acting && !s.anyReaches() || j.waits()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wantsShown, j.wantsNews = busy || j.cfg.Decides, busy
	switch {
	case busy || len(j.inbox) > 0:
		return journalTick
	case j.cfg.Decides && j.shown:
		return max(journalRetry, j.copied+copyRest-j.now())
	}
	return journalIdle
}
