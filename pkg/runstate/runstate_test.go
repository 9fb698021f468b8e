package runstate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(filepath.Join(dir, "run"), filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sample(uid string) *Resource {
	return &Resource{
		Resource: resourcetype.Identity{UID: uid, Namespace: "demo", Name: "disk"},
		Group:    resourcetype.Identity{UID: "group-1", Namespace: "demo", Name: "web"},
		Type:     "LoopbackDisk", Node: 3, Generation: 7, Epoch: 9, Spec: []byte(`{"a":1}`), Data: []byte(`{"loop":"/dev/loop3"}`),
		DependsOn: []string{"other"},
		Machine:   lifecycle.SavedResource{Phase: lifecycle.PhaseOnlining, Restarts: []time.Duration{time.Second}},
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	s := open(t, t.TempDir())
	want := sample("uid-1")
	if err := s.PutResource(want); err != nil {
		t.Fatal(err)
	}
	group := &Group{Group: want.Group, Generation: 7, BootID: "b", Machine: lifecycle.SavedGroup{RunEpoch: 9}}
	if err := s.PutGroup(group); err != nil {
		t.Fatal(err)
	}
	got, damage := s.Resources()
	if diff := cmp.Diff([]*Resource{want}, got); diff != "" || len(damage) != 0 || !got[0].Live() {
		t.Errorf("resources (-want +got), damage %v:\n%s", damage, diff)
	}
	groups, damage := s.Groups()
	if diff := cmp.Diff([]*Group{group}, groups); diff != "" || len(damage) != 0 {
		t.Errorf("groups (-want +got), damage %v:\n%s", damage, diff)
	}
	for range 2 { // to delete what is not there is no error
		if err := errors.Join(s.DeleteResource("uid-1"), s.DeleteGroup("group-1")); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := s.Resources(); len(got) != 0 {
		t.Errorf("it is still there: %v", got)
	}
}

func TestDamageIsReported(t *testing.T) {
	tests := map[string]string{
		"empty":                "",
		"torn":                 `{"version":1,"resource":{"uid":"x"`,
		"no json":              "\x00\x01\x02",
		"another version":      `{"version":99,"resource":{"uid":"x"},"group":{"uid":"g"},"type":"T"}`,
		"no type":              `{"version":1,"resource":{"uid":"x"},"group":{"uid":"g"}}`,
		"another's name":       `{"version":1,"resource":{"uid":"y"},"group":{"uid":"g"},"type":"T"}`,
		"a uid that is a path": `{"version":1,"resource":{"uid":"../x"},"group":{"uid":"g"},"type":"T"}`,
	}
	for name, content := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			if err := s.PutResource(sample("good")); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(s.RunDir(), resourcesDir)
			if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			// What a writer that was killed has left is no damage.
			if err := os.WriteFile(filepath.Join(dir, ".good.1.1"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
			records, damage := s.Resources()
			if len(records) != 1 || len(damage) != 1 || !strings.Contains(damage[0].Error(), "x.json") {
				t.Errorf("records %v, damage %v", records, damage)
			}
		})
	}
}

func TestUIDsAreFileNames(t *testing.T) {
	s := open(t, t.TempDir())
	for _, uid := range []string{"", ".", "..", "a/b", "../../etc/passwd", "a\x00b", strings.Repeat("x", 129)} {
		r := sample(uid)
		if err := s.PutResource(r); err == nil {
			t.Errorf("uid %q was written", uid)
		}
		if err := s.DeleteResource(uid); err == nil {
			t.Errorf("uid %q was removed", uid)
		}
	}
}

func TestFloors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() {
			for epoch := range model.Epoch(5) {
				if err := s.RaiseFloor(fmt.Sprintf("group-%d", i), epoch+1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if err := errors.Join(s.RaiseFloor("group-0", 3), s.SyncFloors(), s.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state", groupsDir, "epochs")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// A torn line, a garbled one and an impossible one.
	if _, err := f.WriteString("group-1 99 00000000\n" + floorLine("group-2", model.MaxEpoch) + "group-3 1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, dir)
		got := []model.Epoch{s.Floor("group-0"), s.Floor("group-1"), s.Floor("group-2"), s.Floor("group-3"), s.Floor("none")}
		if diff := cmp.Diff([]model.Epoch{5, 5, model.MaxEpoch, 5, 0}, got); diff != "" {
			t.Errorf("O7 (-want +got):\n%s", diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLease(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadLease(dir); !errors.Is(err, ErrNoLease) {
		t.Errorf("no file: %v", err)
	}
	f, err := OpenLease(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := ReadLease(dir); !errors.Is(err, ErrNoLease) {
		t.Errorf("an empty file: %v", err)
	}
	want := Lease{
		KeepingUntil: 12345 * time.Second, Generation: 9, BootID: "3f2504e0-4f89-11d3-9a0c-0305e82c3301", PID: 77, StartTime: 991,
		Active: true, Stopping: true, SelfFence: time.Second, StopAt: 12346 * time.Second,
	}
	if err := f.Write(want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadLease(dir)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	want.StopAt = 0
	if err := f.Write(want); err != nil {
		t.Fatal(err)
	}
	if got, err = ReadLease(dir); err != nil || got.StopBegins() != want.KeepingUntil || got.StopAt != want.KeepingUntil {
		t.Errorf("without a StopAt the stop begins at %s, %v", got.StopBegins(), err)
	}
	if err := f.Write(Lease{BootID: strings.Repeat("x", 41)}); err == nil {
		t.Error("a boot id that does not fit was written")
	}
	if err := os.WriteFile(filepath.Join(dir, leaseName), bytes.Repeat([]byte{1}, leaseSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLease(dir); !errors.Is(err, errGarbled) {
		t.Errorf("garbled: %v", err)
	}
}

func TestLeaseIsNeverReadTorn(t *testing.T) {
	dir := t.TempDir()
	f, err := OpenLease(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 5000 {
			if err := f.Write(Lease{KeepingUntil: time.Duration(i), Generation: model.Generation(i)}); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		l, err := ReadLease(dir)
		if errors.Is(err, ErrNoLease) {
			continue
		}
		if err != nil || uint64(l.KeepingUntil) != uint64(l.Generation) {
			t.Fatalf("%+v: %v", l, err)
		}
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	lock, err := ReadLock(dir)
	if lock != nil || err != nil || lock.Burns(1) {
		t.Errorf("no lock: %v %v", lock, err)
	}
	if err := WriteLock(dir, Lock{Generation: 4, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if lock, err = ReadLock(dir); err != nil || !lock.Burns(3) || !lock.Burns(4) || lock.Burns(5) {
		t.Errorf("O11: the lock is %+v, %v", lock, err)
	}
	if err := os.WriteFile(filepath.Join(dir, lockName), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if lock, err = ReadLock(dir); err != nil || !lock.Burns(1<<40) {
		t.Errorf("a garbled lock is %+v, %v", lock, err)
	}
	if err := errors.Join(RemoveLock(dir), RemoveLock(dir)); err != nil {
		t.Error(err)
	}
}

func TestStartTime(t *testing.T) {
	first, err := StartTime(os.Getpid())
	if err != nil || first == 0 {
		t.Fatalf("%d %v", first, err)
	}
	if _, err := StartTime(1 << 30); err == nil {
		t.Error("a process that cannot be has a start time")
	}
}

func FuzzParseLease(f *testing.F) {
	b, err := Lease{Generation: 1, BootID: "x", Active: true}.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := ParseLease(raw)
		if err != nil {
			return
		}
		again, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseLease(again); err != nil || back != l {
			t.Errorf("%+v is read as %+v: %v", l, back, err)
		}
	})
}

func FuzzParseRecords(f *testing.F) {
	f.Add([]byte(`{"version":1,"resource":{"uid":"x"},"group":{"uid":"g"},"type":"T","machine":{"phase":"Online"}}`))
	f.Add([]byte(`{"version":1,"group":{"uid":"g"},"machine":{"desired":{"run":true,"epoch":1,"resources":[{"name":"a"}]}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := ParseResource(raw); err == nil && !validUID(r.Resource.UID) {
			t.Errorf("uid %q", r.Resource.UID)
		}
		g, err := ParseGroup(raw)
		if err != nil {
			return
		}
		// Whatever a record says, the machine made from it must not crash or spin.
		m := lifecycle.Restore(g.Machine, map[string]lifecycle.SavedResource{"x": {Phase: lifecycle.PhaseOnline}})
		m.Step(time.Second, lifecycle.Tick{})
		m.Report()
	})
}

func FuzzParseFloors(f *testing.F) {
	f.Add([]byte(floorLine("a", 1) + floorLine("b", 2)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for uid, epoch := range parseFloors(raw) {
			if uid == "" || epoch > model.MaxEpoch {
				t.Errorf("%q %d", uid, epoch)
			}
		}
	})
}
