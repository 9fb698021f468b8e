package leadership

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	clocktesting "k8s.io/utils/clock/testing"
)

// lease is the Lease of the tests: it counts what reaches it, and refuses an update that is not of the version read last.
type lease struct {
	record  *resourcelock.LeaderElectionRecord
	version int
	gets    int
	writes  int
}

// inner is one manager's plain lock on the lease.
type inner struct {
	lease    *lease
	identity string
	seen     int
}

func (i *inner) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	i.lease.gets++
	if i.lease.record == nil {
		return nil, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "quorate-manager")
	}
	i.seen = i.lease.version
	record := *i.lease.record
	raw, err := json.Marshal(record)
	return &record, raw, err
}

func (i *inner) Create(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	return i.write(record)
}

func (i *inner) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	if i.seen != i.lease.version {
		return apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "quorate-manager", nil)
	}
	return i.write(record)
}

func (i *inner) write(record resourcelock.LeaderElectionRecord) error {
	i.lease.writes++
	i.lease.version++
	i.seen, i.lease.record = i.lease.version, &record
	return nil
}

func (i *inner) RecordEvent(string) {}
func (i *inner) Identity() string   { return i.identity }
func (i *inner) Describe() string   { return "quorate-system/quorate-manager" }
func record(id string) resourcelock.LeaderElectionRecord {
	return resourcelock.LeaderElectionRecord{HolderIdentity: id, LeaseDurationSeconds: int(LeaseDuration / time.Second)}
}

type pair struct {
	lease   *lease
	clock   *clocktesting.FakePassiveClock
	a, b    *Lock
	dead    map[string]bool
	deposed []string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{lease: &lease{}, clock: clocktesting.NewFakePassiveClock(time.Unix(1000, 0)), dead: map[string]bool{}}
	lost := func(_ context.Context, id string) bool { return p.dead[id] }
	for _, l := range []struct {
		id   string
		into **Lock
	}{{"node-a_1", &p.a}, {"node-b_1", &p.b}} {
		*l.into = NewLock(&inner{lease: p.lease, identity: l.id}, lost, func() { p.deposed = append(p.deposed, l.id) })
		(*l.into).Clock = p.clock
	}
	if err := p.a.Create(t.Context(), record("node-a_1")); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) step(d time.Duration) { p.clock.SetTime(p.clock.Now().Add(d)) }

func TestRenewalsAreWrittenEveryTwoSeconds(t *testing.T) {
	p := newPair(t)
	for range 100 { // ten seconds of the elector's steps
		p.step(RetryPeriod)
		if err := p.a.Update(t.Context(), record("node-a_1")); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.lease.writes - 1; got != 5 {
		t.Errorf("%d renewals were written in 10 s, want 5", got)
	}
}

func TestStandbyLooksRarely(t *testing.T) {
	p := newPair(t)
	for range 50 { // five seconds
		p.step(RetryPeriod)
		got, _, err := p.b.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.HolderIdentity != "node-a_1" {
			t.Fatalf("holder is %q while its host is well", got.HolderIdentity)
		}
	}
	if p.lease.gets > 10 {
		t.Errorf("the standby read the Lease %d times in 5 s, want at most 10", p.lease.gets)
	}
}

func TestLostHostIsNoHolder(t *testing.T) {
	p := newPair(t)
	if _, _, err := p.b.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.step(RetryPeriod)
	p.dead["node-a_1"] = true
	got, _, err := p.b.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.HolderIdentity != "" {
		t.Fatalf("holder is %q although its host is lost", got.HolderIdentity)
	}
	if err := p.b.Update(t.Context(), record("node-b_1")); err != nil {
		t.Fatalf("taking the Lease: %v", err)
	}
	if p.lease.record.HolderIdentity != "node-b_1" {
		t.Errorf("the Lease is held by %q", p.lease.record.HolderIdentity)
	}
}

func TestThawedLeaderIsDeposed(t *testing.T) {
	p := newPair(t)
	p.dead["node-a_1"] = true
	if _, _, err := p.b.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.b.Update(t.Context(), record("node-b_1")); err != nil {
		t.Fatal(err)
	}
	p.step(3 * time.Second) // a's renewal is due when it wakes
	if err := p.a.Update(t.Context(), record("node-a_1")); !apierrors.IsConflict(err) {
		t.Fatalf("renewal of a deposed leader: got %v, want a conflict", err)
	}
	if _, _, err := p.a.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(p.deposed) != 1 || p.deposed[0] != "node-a_1" {
		t.Errorf("deposed: %v, want node-a_1 once", p.deposed)
	}
	if p.lease.record.HolderIdentity != "node-b_1" {
		t.Errorf("the Lease is held by %q", p.lease.record.HolderIdentity)
	}
}

func TestReleaseIsWrittenAtOnce(t *testing.T) {
	p := newPair(t)
	p.step(RetryPeriod)
	if err := p.a.Update(t.Context(), record("")); err != nil {
		t.Fatal(err)
	}
	if p.lease.record.HolderIdentity != "" {
		t.Error("the release was not written")
	}
}

// TestStandbyStartsAnewAfterOutage: a standby that could not read the Lease for a while has caches that sleep; a short failure is none.
func TestStandbyStartsAnewAfterOutage(t *testing.T) {
	for name, tc := range map[string]struct {
		outage time.Duration
		anew   bool
	}{"short": {StaleAfter - time.Millisecond, false}, "long": {StaleAfter, true}} {
		t.Run(name, func(t *testing.T) {
			holder := record("node-a_1")
			shared := &lease{record: &holder}
			broken := &unreachable{inner: inner{lease: shared, identity: "node-b_2"}, down: true}
			clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
			anew := false
			l := NewLock(broken, func(context.Context, string) bool { return false }, func() { anew = true })
			l.Clock = clock
			if _, _, err := l.Get(t.Context()); err == nil {
				t.Fatal("an API server out of reach answers")
			}
			clock.SetTime(clock.Now().Add(tc.outage))
			broken.down = false
			if _, _, err := l.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
			if anew != tc.anew {
				t.Errorf("starts anew: %v, want %v", anew, tc.anew)
			}
		})
	}
}

// unreachable is a lock whose API server can be out of reach.
type unreachable struct {
	inner
	down bool
}

func (u *unreachable) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if u.down {
		return nil, nil, errors.New("connection refused")
	}
	return u.inner.Get(ctx)
}
