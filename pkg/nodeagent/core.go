package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// maxSleep bounds the time between two looks of the loop, so that a network whose address has come is soon joined.
const maxSleep = 250 * time.Millisecond

// core owns the membership machine and the heartbeats. Everything that it does between two datagrams is bounded: files of the
// host, and nothing else.
type core struct {
	log       logr.Logger
	now       func() time.Duration
	files     *files
	bootID    string
	lease     *lease
	transport *heartbeat.Transport
	// changed is called, on the loop, when the standing has changed in what others look at.
	changed  func()
	commands chan func()
	current  atomic.Pointer[standing]
	// ended is closed when the loop has ended.
	ended chan struct{}

	// The rest belongs to the loop.
	// hear is receive, as a value that is made once.
	hear     func(time.Duration, *membership.Message)
	machine  *membership.Machine
	witness  *witnesses
	settings *Settings
	// unwritten is what must be on disk before anything more is sent.
	unwritten *membership.Persistent
	trouble   string
	// reachesAPI is nil until it is known; a resumed agent keeps what it said until then.
	reachesAPI *bool
	// pending is what heartbeats say of the journal; nil until it is known. said is what each peer last said of its own, and in which view.
	pending   *bool
	said      map[model.NodeID]journalWord
	installed time.Time
	detect    time.Duration
	lastKey   key
	// shown is when the standing was last published, news that something was heard since.
	shown time.Duration
	news  bool
}

func newCore(files *files, bootID string, l *lease, now func() time.Duration, log logr.Logger, changed func()) *core {
	c := &core{
		log: log, now: now, files: files, bootID: bootID, lease: l, transport: heartbeat.NewTransport(now, log.WithName("heartbeat")),
		changed: changed, commands: make(chan func(), 16), ended: make(chan struct{}), witness: newWitnesses(log.WithName("witness")),
	}
	c.hear, c.said = c.receive, map[model.NodeID]journalWord{}
	c.current.Store(&standing{})
	return c
}

// standing is never nil; without a cluster it is empty.
func (c *core) standing() *standing { return c.current.Load() }

// start makes the machine from the settings and what the host remembers. burnt says that the guardian has locked the generation
// (rule O11): then nothing of it goes on. seed is used on a host that remembers nothing.
func (c *core) start(s *Settings, burnt func(model.Generation) bool, seed membership.Persistent) error {
	persistent, err := c.files.loadPersistent()
	if err != nil {
		// A state directory that has lost its content must not be taken for that of a new node: its promises are unknown.
		return fmt.Errorf("%w; if the file is beyond repair, remove it: the node then rejoins as one without a vote record", err)
	}
	if persistent == nil && seed.Incarnation+uint64(seed.Generation) > 0 {
		persistent = &seed
	}
	resumed, err := c.files.loadVolatile(c.bootID)
	if err != nil {
		c.log.Error(err, "What this boot promised is lost; starting as after a reboot")
		resumed = nil
	}
	if resumed != nil && burnt(resumed.Generation) {
		c.log.Info("The guardian has stopped everything of this generation; a new one begins", "generation", resumed.Generation)
		resumed = nil
	}
	if err := c.configure(s, persistent, resumed); err != nil {
		return err
	}
	c.log.Info("Membership started", "node", s.Self, "incarnation", c.machine.Status(c.now()).Incarnation,
		"generation", c.machine.Status(c.now()).Self.Generation, "resumed", resumed != nil,
		"leaseLeft", (c.lease.keepingUntil() - c.now()).String())
	return nil
}

func (c *core) configure(s *Settings, persistent *membership.Persistent, resumed *membership.Volatile) error {
	transport, err := s.transport()
	if err != nil {
		return err
	}
	if c.machine == nil {
		if c.machine, err = membership.New(s.membership(), persistent, resumed, c.now()); err != nil {
			return err
		}
	} else if err := c.machine.SetConfig(s.membership(), c.now()); err != nil {
		return err
	}
	if c.reachesAPI != nil {
		c.machine.SetReachesAPI(*c.reachesAPI, c.now())
	}
	if c.pending != nil {
		c.machine.SetPending(*c.pending, c.now())
	}
	c.settings = s
	c.lease.setSelfFence(s.SelfFence)
	if err := c.witness.configure(s); err != nil {
		return err
	}
	return c.transport.Configure(transport)
}

// run is the loop. It returns when ctx ends; what it promised stays promised (the next agent resumes).
func (c *core) run(ctx context.Context) {
	defer c.transport.Close()
	defer close(c.ended)
	defer c.witness.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.transport.Readable():
		case <-timer.C:
		case command := <-c.commands:
			command()
			c.shown = 0
		}
		timer.Reset(c.step())
	}
}

// step hears everything that has arrived, then looks at the timers, then does what follows. It returns how long to sleep.
func (c *core) step() time.Duration {
	if c.machine == nil {
		c.publish()
		return maxSleep
	}
	c.transport.Drain(c.hear)
	c.transport.Maintain()
	c.machine.Tick(c.now())
	c.flush()
	now := c.now()
	next := min(maxSleep, c.machine.NextDeadline(now)-now)
	if wait := c.show(now); wait > 0 {
		next = min(next, wait)
	}
	return max(0, next)
}

// journalWord is what a heartbeat says of its sender's journal, and in which view.
type journalWord struct {
	view    model.ViewID
	pending bool
}

func (c *core) receive(now time.Duration, m *membership.Message) {
	c.news = true
	word := journalWord{pending: m.Pending}
	if m.View != nil {
		word.view = m.View.ID
	}
	if c.said[m.From] != word {
		c.said[m.From], c.shown = word, 0 // somebody may wait for it (J2)
	}
	err := c.machine.Hear(now, m) // step calls Tick when all is heard
	if err != nil && !errors.Is(err, membership.ErrOldSequence) {
		c.log.V(1).Info("Message refused", "node", m.From, "reason", err.Error())
	}
}

// flush does what the machine wants, in the order that makes its promises hold over a crash: disk, memory, network, events.
func (c *core) flush() {
	ready := c.machine.Ready()
	if ready.Persist != nil || len(ready.Messages)+len(ready.Events) > 0 {
		c.shown = 0 // what the others look at may have changed
	}
	if slices.ContainsFunc(ready.Events, func(e membership.Event) bool { _, lost := e.(membership.QuorumLost); return lost }) {
		// Only stops follow from this, and they must not wait for a disk.
		c.lease.setStopping()
		c.publish()
	}
	if ready.Persist != nil {
		c.unwritten = ready.Persist
	}
	if err := c.write(ready.Volatile); err != nil {
		c.fail(err)
		c.events(ready.Events)
		c.refuse(ready.Witness, err)
		return
	}
	c.trouble = ""
	for i := range ready.Messages {
		if err := c.transport.Send(&ready.Messages[i]); err != nil {
			c.fail(err)
		}
	}
	c.arbitrate(ready.Witness)
	c.events(ready.Events)
}

// write puts on disk, then in memory, what must be there before anything is sent.
func (c *core) write(volatile *membership.Volatile) error {
	if c.unwritten != nil {
		if err := c.files.savePersistent(c.unwritten); err != nil {
			return err
		}
		c.unwritten = nil
	}
	if volatile == nil {
		return nil
	}
	return c.files.saveVolatile(c.bootID, volatile)
}

// arbitrate begins an operation on the witness. Its outcome comes back as a command.
func (c *core) arbitrate(op *membership.WitnessOp) {
	if op == nil {
		return
	}
	limit := max(leastWitnessTime, witnessLooks*c.settings.Interval)
	c.witness.begin(context.Background(), *op, limit, c.answer)
}

// witnessLooks is the time that an operation on the witness may take, in intervals: after it nothing of it counts any more.
// leastWitnessTime is for clusters with short intervals, whose witness may be a file server.
const (
	witnessLooks     = 3
	leastWitnessTime = 500 * time.Millisecond
)

func (c *core) answer(r membership.WitnessResult) {
	select {
	case c.commands <- func() {
		if c.machine != nil {
			c.machine.WitnessDone(c.now(), r)
		}
	}:
	case <-c.ended:
	}
}

// refuse answers an operation that may not begin, since what has to be written first is not.
func (c *core) refuse(op *membership.WitnessOp, err error) {
	if op != nil {
		c.machine.WitnessDone(c.now(), membership.WitnessResult{Serial: op.Serial, Err: err.Error()})
	}
}

// fail keeps the node silent: its peers go on without it, which is safe.
func (c *core) fail(err error) {
	if c.trouble != err.Error() {
		c.log.Error(err, "No heartbeats are sent")
	}
	c.trouble = err.Error()
}

func (c *core) events(events []membership.Event) {
	for _, event := range events {
		switch e := event.(type) {
		case membership.ViewInstalled:
			c.installed, c.detect = time.Now(), 0
			for _, lost := range e.Lost {
				c.detect = max(c.detect, lost.Silent)
			}
			c.log.Info("View installed", "view", e.View.ID.String(), "members", e.View.Members, "lost", e.Lost, "joined", e.Joined)
		case membership.QuorumGained:
			c.log.Info("Quorum gained", "view", e.View.ID.String())
		case membership.Suspended:
			c.log.Info("Quorum lost while the challenge for the witness is under way: addresses are silent, the stop waits",
				"view", e.View.ID.String(), "until", (e.Until - e.At).String())
		case membership.QuorumLost:
			c.lease.setStopping()
			c.log.Info("Quorum lost: everything that runs here is stopped", "burntGeneration", e.Burnt, "generation", e.Generation)
		case membership.RecordCommitted:
			c.log.Info("Vote record committed", "record", e.Record.String())
		case membership.Left:
			c.log.Info("The node has left the cluster")
		}
	}
}

// showAfter is how long the news of datagrams that change nothing wait to be shown: with 64 nodes there are hundreds a second.
const showAfter = 50 * time.Millisecond

// show renews the lease after a step, and publishes the standing if the step did something, or some time after something was heard.
// It returns how long that may still wait; 0 when nothing does.
func (c *core) show(now time.Duration) time.Duration {
	if c.shown == 0 || now-c.shown >= maxSleep || c.news && now-c.shown >= showAfter {
		c.publish()
		return 0
	}
	before := c.current.Load()
	s := membership.Status{Self: before.Self}
	s.ActingUntil, s.KeepingUntil = c.machine.Leases(now)
	s.Acting, s.Keeping = s.ActingUntil != 0, s.KeepingUntil != 0
	if s.Acting != before.Acting || s.Keeping != before.Keeping {
		c.publish()
		return 0
	}
	c.lease.renew(&s)
	if c.news {
		return c.shown + showAfter - now
	}
	return 0
}

// publish renews the lease and shows the standing to the others.
func (c *core) publish() {
	s := &standing{Settings: c.settings, Trouble: c.trouble}
	if c.machine != nil {
		now := c.now()
		s.Status = c.machine.Status(now)
		c.lease.renew(&s.Status)
		s.Links, s.Listening, s.Speech = c.transport.Links(), c.transport.Listening(), c.transport.Peers()
		s.Keys = c.transport.KeyIDs()
		s.Heartbeat = c.transport.Stats()
		s.Installed, s.Detect = c.installed, c.detect
		if s.View != nil && c.installed.IsZero() { // resumed: the clock at the installation is computed back
			c.installed = time.Now().Add(s.ViewSince - now)
			s.Installed = c.installed
		}
	}
	c.shown, c.news = c.now(), false
	c.current.Store(s)
	if k := keyOf(s); !k.equal(c.lastKey) {
		c.lastKey = k
		c.changed()
	}
}
