package witnesstest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

// Cluster is the cluster's id in these tests.
const Cluster uint64 = 0xabcdef0123456789

// Open opens the same witness for a host: two calls give two Devices of what is one witness.
type Open func(t *testing.T, host model.NodeID) witness.Device

// Run runs every test. fresh makes a witness that nobody has used.
func Run(t *testing.T, fresh func(t *testing.T) Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"fresh":               testFresh,
		"standing":            testStanding,
		"taking":              testTaking,
		"removing":            testRemoving,
		"restart":             testRestart,
		"leaving":             testLeaving,
		"live defender":       testLiveDefender,
		"dead defender":       testDeadDefender,
		"changed key":         testChangedKey,
		"content":             testContent,
		"states":              testStates,
		"late save":           testLateSave,
		"many at once":        testManyAtOnce,
		"look and take":       testLookAndTake,
		"first of many":       testFirstOfMany,
		"reopened":            testReopened,
		"another cluster's":   testForeignKey,
		"ended context":       testEndedContext,
		"content of a newbie": testContentWithoutHolding,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// RunStale runs the tests that must pass even if what anybody but the holder reads may be the state before the present one.
func RunStale(t *testing.T, fresh func(t *testing.T) Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"live defender": testLiveDefender,
		"dead defender": testDeadDefender,
		"late save":     testLateSave,
		"many at once":  testManyAtOnce,
		"look and take": testLookAndTake,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// Key is a node's key.
func Key(t *testing.T, node model.NodeID, incarnation model.Epoch) reservation.Key {
	t.Helper()
	k, err := reservation.NewKey(uint32(Cluster>>40), node, incarnation)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// host is a host's device and key.
type host struct {
	witness.Device
	t  *testing.T
	me reservation.Key
}

func hosts(t *testing.T, open Open, nodes ...model.NodeID) []*host {
	t.Helper()
	var out []*host
	for _, n := range nodes {
		out = append(out, newHost(t, open, n, 1))
	}
	return out
}

func newHost(t *testing.T, open Open, node model.NodeID, incarnation model.Epoch) *host {
	t.Helper()
	h := &host{Device: open(t, node), t: t, me: Key(t, node, incarnation)}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return h
}

func (h *host) ok(what string, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("node %d: %s: %v", h.me.Node(), what, err)
	}
}

func (h *host) conflict(what string, err error) {
	h.t.Helper()
	if !errors.Is(err, witness.ErrConflict) {
		h.t.Fatalf("node %d: %s: %v, want a conflict", h.me.Node(), what, err)
	}
}

func (h *host) look() witness.Status {
	h.t.Helper()
	st, err := h.Look(h.t.Context(), h.me)
	h.ok("look", err)
	return st
}

func (h *host) register() { h.t.Helper(); h.ok("register", h.Register(h.t.Context(), h.me)) }

func (h *host) take(holder reservation.Key) error { return h.Take(h.t.Context(), h.me, holder) }

// hold makes the host the holder of a witness that nobody holds.
func (h *host) hold() *host {
	h.t.Helper()
	h.register()
	h.ok("take", h.take(0))
	return h
}

// wantStatus compares what a look says, but for the identity.
func (h *host) wantStatus(holder reservation.Key, keys ...reservation.Key) {
	h.t.Helper()
	got := h.look()
	got.ID = 0
	if len(got.Keys) == 0 {
		got.Keys = nil
	}
	if diff := cmp.Diff(witness.Status{Holder: holder, Keys: keys}, got); diff != "" {
		h.t.Fatalf("node %d looks (-want +got):\n%s", h.me.Node(), diff)
	}
}

func record(number uint64, coordinator model.NodeID, voters ...model.NodeID) *quorum.Record {
	return quorum.NewRecord(number, coordinator, voters)
}

func (h *host) wantContent(want witness.Content) {
	h.t.Helper()
	got, err := h.Load(h.t.Context())
	h.ok("load", err)
	want.ClusterID = Cluster
	if !bytes.Equal(want.State, got.State) {
		h.t.Fatalf("node %d loads a state of %d bytes, want %d others", h.me.Node(), len(got.State), len(want.State))
	}
	want.State, got.State = nil, nil // cmp takes half a minute for the largest
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Fatalf("node %d loads (-want +got):\n%s", h.me.Node(), diff)
	}
}

func (h *host) save(c witness.Content) error {
	c.ClusterID = Cluster
	return h.Save(h.t.Context(), h.me, c)
}

func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
