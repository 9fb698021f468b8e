package systemd

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// TestUnitOf reads a unit's properties, in the types in which systemd sends them.
func TestUnitOf(t *testing.T) {
	got := unitOf(map[string]any{
		"Id": "web.service", "LoadState": "bad-setting", "LoadError": []any{"org.freedesktop.systemd1.BadUnitSetting", "no ExecStart="},
		"UnitFileState": "disabled", "ActiveState": "activating", "SubState": "start-pre", "StatusText": "replaying",
		"Job": []any{uint32(17), godbus.ObjectPath("/org/freedesktop/systemd1/job/17")}, "Result": "exit-code", "ExecMainStatus": int32(3),
		"ConditionResult": true, "ConditionTimestamp": uint64(1), "Type": "notify", "Restart": "always", "Environment": []string{"A=b"}, "Slice": "system.slice",
		"ControlGroup": "/system.slice/web.service", "DropInPaths": []string{"/run/x.conf"}, "NeedDaemonReload": true,
		"TimeoutStartUSec": uint64(90_000_000), "TimeoutStopUSec": uint64(math.MaxUint64),
		"WantedBy": []string{"multi-user.target", "all.service"}, "TriggeredBy": []string{"web.socket", "all.service"},
	})
	want := &Unit{
		Name: "web.service", Load: "bad-setting", LoadError: "no ExecStart=", File: "disabled",
		State: State{Active: "activating", Sub: "start-pre", Job: 17}, StatusText: "replaying", Result: "exit-code", MainStatus: 3, Condition: true, Judged: true,
		Type: "notify", Restart: "always", Environment: []string{"A=b"}, Slice: "system.slice", ControlGroup: "/system.slice/web.service",
		DropIns: []string{"/run/x.conf"}, Stale: true, StartTimeout: 90 * time.Second,
		StartedBy: []string{"all.service", "multi-user.target", "web.socket"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Another systemd may send other types: they count as nothing, and nothing breaks.
	odd := unitOf(map[string]any{"Id": 3, "Job": "none", "LoadError": []any{"one"}, "TimeoutStartUSec": "90s", "WantedBy": "x", "DropInPaths": nil})
	if diff := cmp.Diff(&Unit{}, odd); diff != "" {
		t.Errorf("odd properties (-want +got):\n%s", diff)
	}
}

// TestReloadIsShared: those who ask while systemd reads its files share the next time, and nobody is served by one that began before.
func TestReloadIsShared(t *testing.T) {
	r := reloads{turn: make(chan struct{}, 1)}
	var began atomic.Int32
	reading := make(chan struct{})
	reload := func(context.Context) error {
		began.Add(1)
		<-reading
		return nil
	}
	var all sync.WaitGroup
	all.Go(func() { _ = r.shared(t.Context(), reload) })
	for began.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 20 {
		all.Go(func() {
			if err := r.shared(t.Context(), reload); err != nil {
				t.Error(err)
			}
		})
	}
	for r.asked.Load() < 21 {
		time.Sleep(time.Millisecond)
	}
	close(reading)
	all.Wait()
	if n := began.Load(); n != 2 {
		t.Errorf("%d reloads for 21 who asked, want 2", n)
	}
	broken := errors.New("broken")
	if err := r.shared(t.Context(), func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a reload that fails: %v", err)
	}
	if err := r.shared(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("after one that failed: %v", err)
	}
}

// TestChanges are told to those who watch the unit, and to all when it is not known what has changed; nobody waits for a slow reader.
func TestChanges(t *testing.T) {
	c, web, db := &changes{}, make(chan struct{}, 1), make(chan struct{}, 1)
	c.add(web, "web.service")
	c.add(db, "db.service")
	told := func(ch chan struct{}) bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	c.tell("web.service")
	c.tell("web.service")
	if !told(web) || told(web) || told(db) {
		t.Error("a change was not told once, or to the wrong one")
	}
	c.tell("")
	if !told(web) || !told(db) {
		t.Error("an unknown change was not told to all")
	}
	c.remove(web)
	c.tell("web.service")
	if told(web) || c.nobody() {
		t.Error("one that left was told, or one that stays was forgotten")
	}
	c.remove(db)
	if !c.nobody() {
		t.Error("somebody is left")
	}
}

// TestHungConnection: who waits for a connection that somebody else makes does not wait past its context.
func TestHungConnection(t *testing.T) {
	m := New()
	m.turn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := m.Unit(ctx, "web.service"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Unit() = %v", err)
	}
	if _, err := m.Changes(ctx, "web.service"); err == nil || !m.changes.nobody() {
		t.Errorf("Changes() = %v", err)
	}
}
