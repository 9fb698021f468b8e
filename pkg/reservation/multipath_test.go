package reservation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// fakeMap is a map of paths to a Fake disk.
type fakeMap struct {
	disk *Fake
	host string

	mu    sync.Mutex
	paths []string
	dead  map[string]bool
	// out has the paths that the map does not use.
	out map[string]bool
	log []string
}

func newFakeMap(disk *Fake, host string, paths ...string) *fakeMap {
	return &fakeMap{disk: disk, host: host, paths: paths, dead: map[string]bool{}, out: map[string]bool{}}
}

func (m *fakeMap) kill(path string, dead bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead[path] = dead
}

func (m *fakeMap) Paths() ([]Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Device, 0, len(m.paths))
	for _, p := range m.paths {
		if m.dead[p] {
			list = append(list, deadPath{name: p, err: fmt.Errorf("%w: unplugged", ErrPath)})
			continue
		}
		list = append(list, named{m.disk.Host(m.host + p), p})
	}
	return list, nil
}

func (m *fakeMap) Fail(_ context.Context, path string) error { return m.use("fail "+path, path, true) }

func (m *fakeMap) Reinstate(_ context.Context, path string) error {
	return m.use("reinstate "+path, path, false)
}

func (m *fakeMap) use(what, path string, out bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, what)
	m.out[path] = out
	return nil
}

// writable reports whether each path that the map uses may write.
func (m *fakeMap) writable() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !slices.ContainsFunc(m.paths, func(p string) bool { return !m.out[p] && !m.disk.MayWrite(m.host+p) })
}

type named struct {
	Device
	name string
}

func (n named) Name() string { return n.name }

// TestMultipathO18 holds a disk over two paths while they die and come back, and takes it over between hosts.
func TestMultipathO18(t *testing.T) {
	disk := NewFake()
	onA, onB := newFakeMap(disk, "a", "1", "2"), newFakeMap(disk, "b", "1", "2")
	a, b := NewMultipath("/dev/mapper/a", onA), NewMultipath("/dev/mapper/b", onB)
	k1 := key(t, 1, 1)
	_, err := Acquire(t.Context(), a, k1, nil)
	must(t, err)
	if got := disk.Status().Keys; !slices.Equal(got, []Key{k1, k1}) || !onA.writable() {
		t.Errorf("keys %v, want one for each live path", got)
	}

	onA.kill("2", true)
	must(t, Verify(t.Context(), a, k1))
	if !onA.out["2"] {
		t.Error("a dead path was left in the map")
	}
	// While it is away another host's late command may remove it, so it must not be used before it is registered again.
	must(t, disk.Host("a2").Register(t.Context(), k1, 0))
	onA.kill("2", false)
	if onA.out["2"] = true; onA.disk.MayWrite("a2") {
		t.Fatal("the path is registered before it was looked at")
	}
	must(t, Verify(t.Context(), a, k1))
	if onA.out["2"] || !onA.writable() {
		t.Errorf("the path that came back is not in use and registered: %v", onA.log)
	}

	// A new host takes over with one path of two; the path that is dead stays out.
	onB.kill("1", true)
	k2 := key(t, 2, 2)
	r, err := Acquire(t.Context(), b, k2, nil)
	must(t, err)
	if !r.Proof() || !slices.Equal(disk.Status().Keys, []Key{k2}) || !onB.out["1"] || !onB.writable() || disk.MayWrite("a1") || disk.MayWrite("a2") {
		t.Errorf("taken over on one path: %+v, %+v", r, disk.Status())
	}
	if err := Verify(t.Context(), a, k1); !errors.Is(err, ErrLost) {
		t.Errorf("Verify() of the old owner = %v", err)
	}
	must(t, Depart(t.Context(), a, testCluster, 1))

	// The path that holds the reservation dies, and the epoch changes all the same.
	onB.kill("1", false)
	must(t, Verify(t.Context(), b, k2))
	onB.kill("2", true)
	must(t, Advance(t.Context(), b, k2, key(t, 2, 3)))
	if st := disk.Status(); st.Holder != key(t, 2, 3) || !slices.Equal(st.Keys, []Key{key(t, 2, 3)}) || !onB.writable() {
		t.Errorf("after the change of the epoch on the other path: %+v", st)
	}
	onB.kill("1", true)
	if err := Verify(t.Context(), b, key(t, 2, 3)); !errors.Is(err, ErrPath) || errors.Is(err, ErrLost) {
		t.Errorf("Verify() without a path = %v, want that it cannot be told", err)
	}
}

// TestMultipathRestart: a new agent does not know which paths are registered, and finds out.
func TestMultipathRestart(t *testing.T) {
	disk := NewFake()
	m := newFakeMap(disk, "a", "1", "2", "3")
	k := key(t, 1, 1)
	_, err := Acquire(t.Context(), NewMultipath("m", m), k, nil)
	must(t, err)
	must(t, disk.Host("a3").Register(t.Context(), k, 0)) // as if it had come back unregistered
	next := NewMultipath("m", m)
	must(t, Verify(t.Context(), next, k))
	if !m.writable() || len(disk.Status().Keys) != 3 {
		t.Errorf("not all paths are registered: %+v", disk.Status())
	}
	generation := disk.Status().Generation
	must(t, Verify(t.Context(), next, k))
	if got := disk.Status().Generation; got != generation {
		t.Errorf("a check of a disk that is well changed its registrations (%d, then %d)", generation, got)
	}
	must(t, Advance(t.Context(), NewMultipath("m", m), k, key(t, 1, 2)))
	if got := disk.Status().Keys; !slices.Equal(got, []Key{key(t, 1, 2), key(t, 1, 2), key(t, 1, 2)}) {
		t.Errorf("keys %v after a change of the epoch", got)
	}
	must(t, Decommission(t.Context(), NewMultipath("m", m), key(t, 1, 2)))
	if st := disk.Status(); st.Holder != 0 || len(st.Keys) != 0 {
		t.Errorf("decommissioned: %+v", st)
	}
}

// TestMultipathHangs: a path whose commands do not return holds nobody up.
func TestMultipathHangs(t *testing.T) {
	disk := NewFake()
	release := make(chan struct{})
	defer close(release)
	disk.Before = func(host string, _ Service) error {
		if host == "a2" {
			<-release
			return ErrPath
		}
		return nil
	}
	m := newFakeMap(disk, "a", "1", "2")
	k := key(t, 1, 1)
	_, err := Acquire(t.Context(), NewMultipath("m", m), k, nil)
	must(t, err)
	if st := disk.Status(); st.Holder != k || !m.out["2"] || !m.writable() {
		t.Errorf("%+v, out of use %v", st, m.out)
	}
}
