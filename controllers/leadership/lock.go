package leadership

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
)

// The election's times. The elector runs every RetryPeriod, which bounds how soon a lost host's standby leads; the Lease is written
// only every RenewEvery. A leader gives up RenewDeadline after its last renewal, which is RenewEvery old at most: the sum must stay
// below LeaseDuration, or two managers would lead for a while.
const (
	LeaseDuration = 8 * time.Second
	RenewDeadline = 5 * time.Second
	RetryPeriod   = 100 * time.Millisecond
	RenewEvery    = 2 * time.Second
	ReadEvery     = 500 * time.Millisecond
	// StaleAfter is how long an outage of the API server may last for a standby to go on with the caches that it has.
	StaleAfter = 3 * time.Second
)

// Lock is a resource lock that heeds the membership of the cluster.
type Lock struct {
	resourcelock.Interface
	// HostLost tells whether the host of the manager with this identity is gone for certain. It must not block for long.
	HostLost func(ctx context.Context, identity string) bool
	// Deposed is called once when a leader finds that another one has taken the Lease, or a standby that its caches are stale; the
	// manager must end. May be nil.
	Deposed func()
	// Clock is the wall clock; only differences count.
	Clock clock.PassiveClock

	mu      sync.Mutex
	failing time.Time // when the API server was first out of reach; zero when it answers
	renewed time.Time // last renewal of ours that was written; zero when we do not lead
	read    time.Time // last look at the Lease itself
	record  resourcelock.LeaderElectionRecord
}

// NewLock wraps inner.
func NewLock(inner resourcelock.Interface, hostLost func(context.Context, string) bool, deposed func()) *Lock {
	return &Lock{Interface: inner, HostLost: hostLost, Deposed: deposed, Clock: clock.RealClock{}}
}

// Get returns the election record; its HolderIdentity is empty when the holder's host is lost.
func (l *Lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cached() && !l.lost(ctx, l.record.HolderIdentity) {
		return l.answer(l.record)
	}
	// The Lease itself, always, before anything is taken: the update that follows carries its resourceVersion.
	record, _, err := l.Interface.Get(ctx)
	if err != nil {
		if l.failing.IsZero() {
			l.failing = l.Clock.Now()
		}
		return nil, nil, err
	}
	if !l.failing.IsZero() && l.renewed.IsZero() && l.Clock.Since(l.failing) >= StaleAfter {
		// The API server is back after an outage. The caches of this manager try again only after a pause that grew with the outage;
		// a manager that starts anew has fresh ones in a moment.
		l.depose()
	}
	l.failing = time.Time{}
	l.read, l.record = l.Clock.Now(), *record
	if !l.renewed.IsZero() && record.HolderIdentity != "" && record.HolderIdentity != l.Identity() {
		l.depose()
	}
	answer := *record
	if l.lost(ctx, answer.HolderIdentity) {
		answer.HolderIdentity = ""
	}
	return l.answer(answer)
}

// Create makes the Lease.
func (l *Lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Interface.Create(ctx, record); err != nil {
		return err
	}
	l.written(record)
	return nil
}

// Update takes, renews or releases the Lease. A renewal that comes before RenewEvery has passed is not written.
func (l *Lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := record.HolderIdentity == l.Identity()
	if mine && !l.renewed.IsZero() && l.Clock.Since(l.renewed) < RenewEvery {
		return nil
	}
	if err := l.Interface.Update(ctx, record); err != nil {
		l.read = time.Time{} // what was read is no longer true
		return err
	}
	l.written(record)
	return nil
}

// cached says that the record was read from the API a moment ago and another manager holds it.
func (l *Lock) cached() bool {
	return l.renewed.IsZero() && !l.read.IsZero() && l.Clock.Since(l.read) < ReadEvery &&
		l.record.HolderIdentity != "" && l.record.HolderIdentity != l.Identity()
}

func (l *Lock) lost(ctx context.Context, holder string) bool {
	return holder != "" && holder != l.Identity() && l.HostLost(ctx, holder)
}

func (l *Lock) written(record resourcelock.LeaderElectionRecord) {
	l.renewed = time.Time{}
	if record.HolderIdentity == l.Identity() {
		l.renewed = l.Clock.Now()
	}
	l.read, l.record = time.Time{}, record
}

func (l *Lock) depose() {
	l.renewed = time.Time{}
	if l.Deposed != nil {
		l.Deposed()
		l.Deposed = nil
	}
}

func (l *Lock) answer(record resourcelock.LeaderElectionRecord) (*resourcelock.LeaderElectionRecord, []byte, error) {
	raw, err := json.Marshal(record)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the election record of %s: %w", l.Describe(), err)
	}
	return &record, raw, nil
}
