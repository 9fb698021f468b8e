package nodeagent

import (
	"context"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/watchdog"
)

// active says that something runs here or may be started: the guardian watches then.
func (k *keeper) active() bool {
	k.mu.Lock()
	for _, a := range k.known {
		if a.run {
			k.mu.Unlock()
			return true
		}
	}
	k.mu.Unlock()
	return k.monitor.Active()
}

// mayAct is the monitor's lease check (rule O8).
func (k *keeper) mayAct() error {
	return k.lease.mayAct(model.Generation(k.generation.Load()))
}

// newLife begins a generation: after the start of the agent, and whenever quorum was lost. Everything of the generation before is
// stopped first (rule O3).
func (k *keeper) newLife(ctx context.Context, s *standing) {
	first := k.begun == 0
	var left []monitor.Leftover
	resumed := first && k.lease.generation() == s.Self.Generation
	if !first {
		k.view = model.ViewID{}
		left = k.fence(ctx, s.Settings.SelfFence)
	}
	if len(left) == 0 {
		left = k.begin(ctx, s, first)
	}
	k.problems.set(problemLeftover, leftoverProblems(left))
	if resumed {
		// What a record stood for that cannot be read ran in this very life, here and with every right to: the other groups need not
		// wait for it. Its own resource is started anew, which begins by taking away what is left of it.
		left = slices.DeleteFunc(left, func(l monitor.Leftover) bool { return l.Unreadable })
	}
	k.leftover = len(left) > 0
	if k.leftover {
		k.log.Info("Something of an older generation is left; the node does not rejoin until it is gone", "left", left)
		k.lookAgain(time.Second)
		return
	}
	generation := s.Self.Generation
	k.generation.Store(uint64(generation))
	k.begun = generation
	k.renewed(k.monitor.Reports())
	active := k.monitor.Active()
	if !active {
		k.lease.setClean(generation)
	}
	if err := k.unlock(); err != nil {
		k.log.Error(err, "The guardian's lock stays; a later agent will not adopt what runs")
	}
	k.complete.Store(uint64(generation))
	k.makeReady(ctx, generation, active)
}

// makeReady has the node taken into views in a life that has begun, once the heartbeats say whether it goes by a journal (J2).
func (k *keeper) makeReady(ctx context.Context, generation model.Generation, active bool) {
	if !k.said() {
		k.lookAgain(journalRetry)
		return
	}
	k.readied = generation
	if err := k.core.setReady(ctx, generation); err != nil {
		k.lookAgain(50 * time.Millisecond)
		return
	}
	k.log.Info("Ready", "generation", generation, "running", active)
	k.mu.Lock()
	k.all = true
	k.mu.Unlock()
	k.wakeUp()
}

// hasBegun says that a life has begun: what is left of it, or is not, is known. Others than the loop may ask.
func (k *keeper) hasBegun(generation model.Generation) bool {
	return generation != 0 && model.Generation(k.complete.Load()) == generation
}

// fencer stops everything the moment that quorum is lost, whatever the keeper's pass is waiting for: an API server that does not
// answer, a disk that is full. The pass that comes then finds everything stopped, and begins the next life.
func (k *keeper) fencer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.lost:
		}
		if !k.overdue() {
			continue
		}
		k.fencing.Lock()
		if k.overdue() { // the pass may have been quicker
			k.stopAll(ctx, k.core.standing().Settings.SelfFence)
		}
		k.fencing.Unlock()
	}
}

// overdue says that what the monitor may start things in is a life that is over.
func (k *keeper) overdue() bool {
	running, s := model.Generation(k.generation.Load()), k.core.standing()
	return running != 0 && s.Self.Generation > running && s.Settings != nil
}

// fence is stopAll for the keeper's loop.
func (k *keeper) fence(ctx context.Context, selfFence time.Duration) []monitor.Leftover {
	k.fencing.Lock()
	defer k.fencing.Unlock()
	return k.stopAll(ctx, selfFence)
}

// stopAll stops everything within the self-fence deadline, which counts from when the stop begins. What is left then has the host
// reset.
func (k *keeper) stopAll(ctx context.Context, selfFence time.Duration) []monitor.Leftover {
	k.generation.Store(0)
	started := k.now()
	// An agent that is itself late, because its host was frozen, still gives each kill a moment.
	deadline := max(k.lease.stopBegins()+selfFence, started+selfFence/4)
	k.mu.Lock()
	clear(k.known)
	k.mu.Unlock()
	k.monitor.ViewLost()
	left := k.monitor.StopAll(ctx, deadline)
	if len(left) > 0 && ctx.Err() == nil && k.now() >= deadline {
		k.stuck(left)
	}
	if len(left) == 0 {
		k.log.Info("Everything is stopped", "took", (k.now() - started).String(), "beforeDeadline", (deadline - k.now()).String())
	}
	return left
}

// begin takes over the identity of the new life, adopts what an earlier agent of the same life has left, and removes all else.
func (k *keeper) begin(ctx context.Context, s *standing, adopt bool) []monitor.Leftover {
	generation := s.Self.Generation
	if err := k.monitor.SetIdentity(s.Self.ID, generation, s.Settings.ClusterID); err != nil {
		return []monitor.Leftover{{Message: err.Error()}}
	}
	if adopt && !k.burnt(generation) {
		// What is adopted may be restarted at once.
		k.generation.Store(uint64(generation))
		adopted, err := k.monitor.Adopt()
		if err != nil {
			k.log.Error(err, "Nothing is adopted; what runs is stopped")
		}
		if len(adopted) > 0 {
			k.log.Info("Adopted what an earlier agent has left running", "groups", len(adopted))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return k.monitor.CleanUp(ctx)
}

// tellView tells the monitor of each view in which this node acts: its waits for proof count from there (rule O4).
func (k *keeper) tellView(ctx context.Context) {
	s := k.core.standing()
	if s.Settings == nil || s.Self.Generation != k.begun {
		return
	}
	fencing := fencingOf(s.Settings)
	var err error
	if fencing.PowerFenced, fencing.Confirmed, err = k.proofs(ctx); err != nil {
		k.log.Info("Who was fenced is looked at again", "reason", err.Error())
		k.lookAgain(time.Second)
	}
	k.monitor.SetFencing(fencing)
	if !s.Acting || s.View == nil || s.View.ID == k.view {
		return
	}
	k.view = s.View.ID
	// The wait counts from when this node first acts in the view: a node that the view lacks may have had its quorum until then (R1).
	k.monitor.ViewInstalled(lifecycle.View{At: k.now(), ID: s.View.ID, Members: s.View.Members})
	k.mu.Lock()
	for key := range k.waiting {
		k.dirty[key] = true
	}
	clear(k.waiting)
	k.mu.Unlock()
	k.wakeUp()
}

// fencingOf says how the other nodes are made harmless. The margin is for clocks that run differently, and for the moment between
// a kill and its effect.
func fencingOf(s *Settings) lifecycle.Fencing {
	f := lifecycle.Fencing{
		SelfFence: s.SelfFence, Witness: s.membership().WitnessWait(), Margin: s.SelfFence/20 + 50*time.Millisecond, GuardsAddresses: map[model.NodeID]bool{},
		Watchdogs: map[model.NodeID]time.Duration{},
		OnlyPower: map[model.NodeID]bool{},
	}
	for _, n := range s.Nodes {
		if n.GuardsAddresses {
			f.GuardsAddresses[n.ID] = true
		}
		if n.Watchdog > 0 {
			// The margin for its clock is a share of its own timeout, which may be the longer one.
			f.Watchdogs[n.ID] = watchdog.Bound(s.SelfFence, n.Watchdog) + n.Watchdog/20
		}
		if n.OnlyPower {
			f.OnlyPower[n.ID] = true
		}
	}
	return f
}
