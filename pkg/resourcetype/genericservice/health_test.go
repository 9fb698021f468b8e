package genericservice

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/systemd"
)

// TestWatch sees the end of a unit at once, and says how it ended; a restart by hand is let happen.
func TestWatch(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	inst := instance(t, "web.service")
	must(t, f.typ().Online(t.Context(), inst))
	failed, err := f.typ().Watch(t.Context(), inst)
	must(t, err)
	f.set(func() { f.unit.Active, f.unit.Sub, f.unit.Job = "deactivating", "stop-sigterm", 9; f.tell() })
	if err := f.typ().LooksAlive(t.Context(), inst); err != nil {
		t.Errorf("a unit that is restarted by hand: %v", err)
	}
	f.set(func() { f.unit.Active, f.unit.Sub, f.unit.Job = "active", "running", 0; f.tell() })
	select {
	case err := <-failed:
		t.Fatalf("a restart by hand counts as a failure: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	began := time.Now()
	must(t, f.main.Process.Kill())
	err = <-failed
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Errorf("the end was seen after %v", took)
	}
	if want := "web.service does not run: it is failed, signal (status 9); journalctl -u web.service"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the watch says %v, want %q", err, want)
	}
	if _, open := <-failed; open {
		t.Error("the channel is not closed")
	}
	if err := f.typ().LooksAlive(t.Context(), inst); err == nil {
		t.Error("a dead unit looks alive")
	}
	must(t, f.typ().Terminate(t.Context(), inst))
	nothingLeft(t, f, inst)
}

// TestWatchWhatHasEnded: a unit that ends before it is watched is told, too.
func TestWatchWhatHasEnded(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	inst := instance(t, "web.service")
	must(t, f.typ().Online(t.Context(), inst))
	f.set(func() { f.unit.Active, f.unit.Sub = "failed", "failed" })
	failed, err := f.typ().Watch(t.Context(), inst)
	must(t, err)
	if err := <-failed; err == nil {
		t.Error("nothing was told")
	}
}

// TestServes judges states.
func TestServes(t *testing.T) {
	for _, tc := range []struct {
		state systemd.State
		well  bool
	}{
		{systemd.State{Active: "active", Sub: "running"}, true},
		{systemd.State{Active: "active", Sub: "exited"}, true},
		{systemd.State{Active: "reloading"}, true},
		{systemd.State{Active: "deactivating", Job: 3}, true},
		{systemd.State{Active: "activating", Job: 3}, true},
		{systemd.State{Active: "deactivating", Sub: "stop-sigterm"}, false},
		{systemd.State{Active: "activating", Sub: "auto-restart"}, false},
		{systemd.State{Active: "failed", Job: 3}, false},
		{systemd.State{Active: "inactive", Job: 3}, false},
		{systemd.State{Active: "maintenance"}, false},
		{systemd.State{}, false},
	} {
		if err := serves(tc.state); (err == nil) != tc.well {
			t.Errorf("%+v: %v, want well %v", tc.state, err, tc.well)
		}
	}
}

// TestWithoutSystemd: a systemd that does not answer fails nothing that runs, and does not hide what has ended.
func TestWithoutSystemd(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	inst := instance(t, "web.service")
	must(t, f.typ().Online(t.Context(), inst))
	f.set(func() { f.gone = true })
	must(t, f.typ().LooksAlive(t.Context(), inst))
	must(t, f.typ().Adopt(t.Context(), inst))
	ctx, cancel := context.WithCancel(t.Context())
	failed, err := f.typ().Watch(ctx, inst)
	must(t, err)
	cancel()
	if err, open := <-failed; open {
		t.Errorf("the watch says %v", err)
	}
	must(t, f.typ().Terminate(t.Context(), inst))
	if f.typ().LooksAlive(t.Context(), inst) == nil || f.typ().IsAlive(t.Context(), inst) == nil {
		t.Error("a unit without processes looks alive")
	}
}

// TestOutOfCharge: a unit that systemd would restart by itself is not well, and one whose drop-in is gone is not adopted.
func TestOutOfCharge(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	inst := instance(t, "web.service")
	must(t, f.typ().Online(t.Context(), inst))
	path, _ := f.dropInFile()
	must(t, os.Remove(path))
	if err := f.typ().Adopt(t.Context(), inst); err == nil {
		t.Error("it was adopted")
	}
	must(t, f.Reload(t.Context()))
	if err := f.typ().IsAlive(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "Restart=always") {
		t.Errorf("IsAlive() = %v", err)
	}
}

// TestCheck: what a host says of units that the cluster cannot run, each with what to do.
func TestCheck(t *testing.T) {
	running := systemd.State{Active: "active"}
	for name, tc := range map[string]struct {
		unit         string
		change       func(*systemd.Unit)
		other        *systemd.Unit
		reason, want string
	}{
		"fit":            {},
		"static":         {change: func(u *systemd.Unit) { u.File = "static" }},
		"sysv":           {change: func(u *systemd.Unit) { u.File = "generated" }},
		"missing":        {change: func(u *systemd.Unit) { u.Load = "not-found" }, reason: resourcetype.ReasonToolMissing, want: "install the package"},
		"masked":         {change: func(u *systemd.Unit) { u.Load = "masked" }, reason: ReasonUnitUnfit, want: "systemctl unmask web.service"},
		"broken":         {change: func(u *systemd.Unit) { u.Load, u.LoadError = "bad-setting", "no ExecStart=" }, reason: ReasonUnitUnfit, want: "bad-setting: no ExecStart="},
		"alias":          {change: func(u *systemd.Unit) { u.Name = "httpd.service" }, reason: ReasonUnitUnfit, want: "another name of httpd.service"},
		"enabled":        {change: func(u *systemd.Unit) { u.File = "enabled" }, reason: ReasonUnitUnfit, want: "systemctl disable web.service"},
		"until the boot": {change: func(u *systemd.Unit) { u.File = "enabled-runtime" }, reason: ReasonUnitUnfit, want: "disable --runtime"},
		"transient":      {change: func(u *systemd.Unit) { u.File = "transient" }, reason: ReasonUnitUnfit, want: "write a file"},
		"template":       {unit: "web@.service", reason: resourcetype.ReasonInvalidSpec, want: "web@main.service"},
		"no type":        {unit: "web", reason: resourcetype.ReasonInvalidSpec, want: "web.service"},
		"a timer":        {unit: "web.timer", reason: resourcetype.ReasonInvalidSpec, want: "not a service"},
		"socket": {
			other:  &systemd.Unit{Name: "web.socket", File: "enabled", State: systemd.State{Active: "inactive"}},
			reason: ReasonUnitUnfit, want: "systemctl disable --now web.socket",
		},
		"target": {
			other:  &systemd.Unit{Name: "multi-user.target", File: "static", State: running},
			reason: ReasonUnitUnfit, want: "starts with multi-user.target",
		},
		"a unit that is off": {other: &systemd.Unit{Name: "all.service", File: "disabled", State: systemd.State{Active: "inactive"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, t.TempDir())
			if tc.change != nil {
				tc.change(&f.unit)
			}
			if tc.other != nil {
				f.others[tc.other.Name] = tc.other
				f.unit.StartedBy = []string{tc.other.Name}
			}
			unit := tc.unit
			if unit == "" {
				unit = "web.service"
			}
			found := f.typ().Check(t.Context(), instance(t, unit).Spec)
			if tc.want == "" {
				if len(found) != 0 {
					t.Errorf("%+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Reason != tc.reason || found[0].Object != unit || !strings.Contains(found[0].Message, tc.want) {
				t.Errorf("%+v, want %s with %q", found, tc.reason, tc.want)
			}
		})
	}
	f := newFake(t, t.TempDir())
	f.gone = true
	if found := f.typ().Check(t.Context(), instance(t, "web.service").Spec); len(found) != 1 || found[0].Reason != resourcetype.ReasonToolMissing {
		t.Errorf("without systemd: %+v", found)
	}
	if found := f.typ().Check(t.Context(), json.RawMessage(`{"type":"GenericService"}`)); len(found) != 1 || found[0].Reason != resourcetype.ReasonInvalidSpec {
		t.Errorf("without parameters: %+v", found)
	}
}
