package reservation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/pkg/model"
)

// Bounds of the protocol. A loop that makes no end means that somebody else is at it too; whoever has the higher epoch wins, so a
// few rounds are enough.
const (
	maxRounds     = 64
	maxAttentions = 5
)

// Result is how a disk was acquired.
type Result struct {
	// Enforced says that the disk itself refuses the writes of hosts that are not registered; false is Advisory.
	Enforced bool `json:"enforced"`
	// Preempted says that the disk had an earlier owner, whose reservation, in force or parked, was taken over, so that nobody but
	// this node could write from the first look on (rule O19 says why a free disk is different).
	Preempted bool `json:"preempted"`
	// Held says that this very key held the disk already, from an earlier acquisition, which alone knows what it preempted.
	Held bool `json:"held,omitempty"`
	// PTPL says that registrations and reservation survive a power loss of the disk.
	PTPL bool `json:"ptpl"`
	// EpochFound is the highest epoch of this cluster that was on the disk before (the floor of O7); 0 when none was.
	EpochFound model.Epoch `json:"epochFound,omitempty"`
}

// Proof reports whether the reservation proves that earlier owners can no longer write (O13, O19): an Advisory disk, one that was
// found free, and one that forgets its reservation at a power loss prove nothing.
func (r Result) Proof() bool { return r.Enforced && r.Preempted && r.PTPL }

// Acquire takes the disk for me, from whoever has it at a lower epoch (rules O16, O19, O20, O21). Nothing on this host may use the
// disk meanwhile (O17); the caller sees to it. mayAct is asked before each command (O8); nil asks nobody. Errors: *StaleError,
// *ForeignError, ErrLost (somebody took it from under us), ErrContended, what mayAct says, or a failed command. After an error the
// disk may be registered or held by me; that is harmless, as it is parked.
func Acquire(ctx context.Context, dev Device, me Key, mayAct func() error) (Result, error) {
	a := acquisition{dev: dev, me: me, mayAct: mayAct}
	return a.run(ctx)
}

type acquisition struct {
	dev        Device
	me         Key
	mayAct     func() error
	registered bool
	reset      bool // a LOGICAL UNIT RESET is due, or done when resetDone
	resetDone  bool
	attentions int
	result     Result
}

func (a *acquisition) run(ctx context.Context) (Result, error) {
	first := true
	for range maxRounds {
		st, err := a.dev.ReadStatus(ctx)
		if a.tryAgain(err) {
			continue
		}
		if err != nil {
			return a.result, fmt.Errorf("reading the reservation of %s: %w", a.dev.Name(), err)
		}
		if first {
			a.look(st)
			first = false
		}
		act, err := a.next(st)
		if err != nil {
			return a.result, err
		}
		if act == nil {
			return a.result, keepPaths(ctx, a.dev, a.me)
		}
		if err := a.allowed(); err != nil {
			return a.result, fmt.Errorf("reserving %s: %w", a.dev.Name(), err)
		}
		if err := act(ctx); err != nil && !errors.Is(err, ErrConflict) && !a.tryAgain(err) {
			return a.result, fmt.Errorf("reserving %s: %w", a.dev.Name(), err)
		}
	}
	return a.result, fmt.Errorf("reserving %s: %w", a.dev.Name(), ErrContended)
}

// look keeps what the first read says about the time before us.
func (a *acquisition) look(st Status) {
	a.result.Enforced, a.result.PTPL = st.Enforced, st.PTPL
	for _, k := range withHolder(st) {
		if k.Cluster() == a.me.Cluster() {
			a.result.EpochFound = max(a.result.EpochFound, k.Epoch())
		}
	}
	// My own key at this very epoch is left by an acquisition that was cut short: whether that found the disk free is not known.
	a.result.Preempted = st.Holder != 0 && st.Holder != a.me
	a.result.Held = st.Holder == a.me
	// An earlier life of this node may have been cut short between RESERVE and its reset (O19), so that is made good.
	a.reset = st.Holder == 0 || st.Holder.Node() == a.me.Node()
}

// next is the decision of one round: one command from one read, never two (O21). A nil command means done.
func (a *acquisition) next(st Status) (func(context.Context) error, error) {
	if err := check(a.dev.Name(), a.me, st); err != nil {
		return nil, err
	}
	mine := false
	var other Key
	for _, k := range st.Keys {
		if k == a.me {
			mine = true
		} else {
			other = k
		}
	}
	switch {
	case a.registered && !mine:
		return nil, fmt.Errorf("reserving %s: this node's key was removed: %w", a.dev.Name(), ErrLost)
	case !a.registered:
		return a.register, nil
	case st.Holder == 0:
		// Even if it was held at the first look: now it is free, so somebody may have written in between.
		a.result.Preempted, a.result.Held, a.reset = false, false, true
		return func(ctx context.Context) error { return a.dev.Reserve(ctx, a.me) }, nil
	case st.Holder != a.me && !enforced(RulePreempt):
		return nil, nil
	case st.Holder != a.me:
		return func(ctx context.Context) error { return a.dev.PreemptAbort(ctx, a.me, st.Holder) }, nil
	case other != 0:
		return func(ctx context.Context) error { return a.dev.PreemptAbort(ctx, a.me, other) }, nil
	case st.Type != WriteExclusiveRegistrantsOnly:
		return nil, fmt.Errorf("disk %s is reserved with type %d, want %d: release it by hand", a.dev.Name(), st.Type, WriteExclusiveRegistrantsOnly)
	case a.reset && !a.resetDone:
		return a.lunReset, nil
	}
	return nil, nil
}

func (a *acquisition) register(ctx context.Context) error {
	err := a.dev.RegisterIgnore(ctx, a.me)
	a.registered = err == nil
	return err
}

func (a *acquisition) lunReset(ctx context.Context) error {
	err := a.dev.LUNReset(ctx)
	if errors.Is(err, ErrUnsupported) {
		// Commands that the disk has accepted cannot be aborted: the disk is held, but proves nothing.
		a.result.Preempted, err = false, nil
	}
	a.resetDone = err == nil
	return err
}

func (a *acquisition) allowed() error {
	if a.mayAct == nil {
		return nil
	}
	return a.mayAct()
}

func (a *acquisition) tryAgain(err error) bool {
	if !errors.Is(err, ErrAttention) {
		return false
	}
	a.attentions++
	return a.attentions <= maxAttentions
}

// Verify tells whether me still is the only one who may write. ErrLost: not the holder, key gone, or a newer owner's key; the file
// system must be shut down. *ForeignError: another cluster's host may write. The key of an older epoch of this cluster is removed.
// Any other error means that it could not be told.
func Verify(ctx context.Context, dev Device, me Key) error {
	if !enforced(RulePreempt) {
		return nil
	}
	for range maxRounds {
		st, err := readStatus(ctx, dev)
		if err != nil {
			return err
		}
		var stale *StaleError
		err = check(dev.Name(), me, st)
		if errors.As(err, &stale) {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		if err != nil {
			return err
		}
		mine, other := false, Key(0)
		for _, k := range st.Keys {
			if k == me {
				mine = true
			} else {
				other = k
			}
		}
		switch {
		case !mine:
			return fmt.Errorf("%w: the key of this node is not registered on %s", ErrLost, dev.Name())
		case st.Holder != me:
			return fmt.Errorf("%w: %s is held by %s, not by this node", ErrLost, dev.Name(), holderName(st))
		case other == 0:
			return keepPaths(ctx, dev, me)
		}
		if err := dev.PreemptAbort(ctx, me, other); err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrAttention) {
			return fmt.Errorf("removing the old key %s from %s: %w", other, dev.Name(), err)
		}
	}
	return fmt.Errorf("verifying %s: %w", dev.Name(), ErrContended)
}

// Holds reads, without a command, whether me holds the disk; the check at an adoption.
func Holds(ctx context.Context, dev Device, me Key) error {
	st, err := readStatus(ctx, dev)
	if err != nil {
		return err
	}
	if st.Holder != me {
		return fmt.Errorf("%w: %s is held by %s, not by this node", ErrLost, dev.Name(), holderName(st))
	}
	return nil
}

// Advance changes the epoch of a disk that is held and in use: REGISTER with the old key, never 'ignore existing', since a conflict
// means that the disk was taken (O9, O17). Errors as of Verify.
func Advance(ctx context.Context, dev Device, old, me Key) error {
	st, err := readStatus(ctx, dev)
	if err != nil {
		return err
	}
	if err := check(dev.Name(), me, st); err != nil {
		return err
	}
	if st.Holder == me {
		return Verify(ctx, dev, me)
	}
	if st.Holder != old {
		return fmt.Errorf("%w: %s is held by %s, not by this node", ErrLost, dev.Name(), holderName(st))
	}
	err = retryAttention(func() error { return dev.Register(ctx, old, me) })
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("%w: the key of this node on %s was changed", ErrLost, dev.Name())
	}
	if err != nil {
		return fmt.Errorf("changing the epoch on %s: %w", dev.Name(), err)
	}
	if err := inherit(ctx, dev, old, me); err != nil {
		return err
	}
	return Verify(ctx, dev, me)
}

// inherit takes the reservation from this host's own old key. A path that holds it and died kept the old key when the others got the
// new one; the reservation goes from one to the other without a gap.
func inherit(ctx context.Context, dev Device, old, me Key) error {
	st, err := readStatus(ctx, dev)
	if err != nil || st.Holder != old || !slices.Contains(st.Keys, me) {
		return err
	}
	err = retryAttention(func() error { return dev.PreemptAbort(ctx, me, old) })
	if err != nil && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("changing the epoch on %s: %w", dev.Name(), err)
	}
	return nil
}

// Depart removes the registration of a node that does not hold the disk; the reservation that it holds is left parked (O15). It is
// part of an agent's clean-up at its start.
func Depart(ctx context.Context, dev Device, cluster uint32, node model.NodeID) error {
	st, err := readStatus(ctx, dev)
	if err != nil {
		return err
	}
	own := func(k Key) bool { return k.valid() && k.Cluster() == cluster && k.Node() == node }
	if own(st.Holder) {
		return nil
	}
	for _, k := range st.Keys {
		if !own(k) {
			continue
		}
		err := retryAttention(func() error { return dev.Register(ctx, k, 0) })
		// A conflict means that the key was not this path's, or is gone already.
		if err != nil && !errors.Is(err, ErrConflict) {
			return fmt.Errorf("unregistering %s from %s: %w", k, dev.Name(), err)
		}
	}
	return nil
}

// Decommission gives a disk up for good, when it leaves the cluster: RELEASE, then unregister (O15). Every former owner must have a
// newer generation; the caller sees to it.
func Decommission(ctx context.Context, dev Device, me Key) error {
	if err := Holds(ctx, dev, me); err != nil {
		return err
	}
	if err := retryAttention(func() error { return dev.Release(ctx, me) }); err != nil {
		return fmt.Errorf("releasing %s: %w", dev.Name(), err)
	}
	st, err := readStatus(ctx, dev)
	if err != nil {
		return err
	}
	if st.Holder == me {
		return fmt.Errorf("releasing %s: the path that holds the reservation is dead: bring it back first", dev.Name())
	}
	if err := retryAttention(func() error { return dev.Register(ctx, me, 0) }); err != nil {
		return fmt.Errorf("unregistering from %s: %w", dev.Name(), err)
	}
	return nil
}
