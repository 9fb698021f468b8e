package genericservice

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/systemd"
)

// parameters that must arrive at the unit as they are.
const parameters = "--verbose 100% \"quoted\" back\\slash\nsecond line\ttab $HOME ü"

func instance(t *testing.T, unit string) *resourcetype.Instance {
	t.Helper()
	spec, err := json.Marshal(map[string]any{
		"groupName": "shop", "type": Name, "genericService": map[string]string{"unit": unit, "startParameters": parameters},
	})
	must(t, err)
	return &resourcetype.Instance{
		Type: Name, Resource: resourcetype.Identity{UID: "11111111-2222", Namespace: "demo", Name: "web"},
		Group:   resourcetype.Identity{UID: "33333333-4444", Namespace: "demo", Name: "shop"},
		Cluster: "test", NodeName: "node-a", Node: 1, Epoch: 1, Spec: spec, CgroupRoot: "/nowhere", RunDir: t.TempDir(),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// nothingLeft fails if anything of the unit, or of what was changed about it, is there.
func nothingLeft(t *testing.T, f *fake, inst *resourcetype.Instance) {
	t.Helper()
	if populated, err := cgroup.At(f.cgroup()).Populated(); populated || err != nil {
		t.Errorf("processes of the unit are left: %v", err)
	}
	if left, err := os.ReadDir(f.runs); err != nil || len(left) != 0 {
		t.Errorf("drop-ins are left: %v, %v", left, err)
	}
	var r record
	if _, err := inst.LoadData(&r); err != nil || r.Begun {
		t.Errorf("the record says %+v, %v", r, err)
	}
}

func processes(t *testing.T, f *fake) int {
	t.Helper()
	pids, err := cgroup.At(f.cgroup()).Processes()
	must(t, err)
	return len(pids)
}

// TestLife takes a unit through a whole life: what it is given, what its health is, and that nothing is left of it.
func TestLife(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	typ, inst := f.typ(), instance(t, "web.service")
	var first record
	inst.SaveData = func(v any) error {
		if first == (record{}) {
			first = v.(record)
			if f.starts > 0 || f.reloads > 0 {
				t.Error("the record came after the act (O8)")
			}
		}
		return nil
	}
	must(t, typ.Online(t.Context(), inst))
	if !first.Begun || first.Cgroup != f.cgroup() || first.Unit != "web.service" {
		t.Errorf("first saved %+v, want the unit and its control group %s", first, f.cgroup())
	}
	if f.unit.Restart != "no" || !slices.Contains(f.unit.Environment, "QUORATE_START_PARAMETERS="+parameters) || !slices.Contains(f.unit.Environment, "QUORATE_GROUP=shop") {
		t.Errorf("the unit has Restart=%s and %q", f.unit.Restart, f.unit.Environment)
	}
	must(t, typ.LooksAlive(t.Context(), inst))
	must(t, typ.IsAlive(t.Context(), inst))
	must(t, f.typ().Adopt(t.Context(), inst))
	second := instance(t, "web.service")
	second.Resource.UID = "another"
	if err := typ.Online(t.Context(), second); err == nil || !strings.Contains(err.Error(), "was not started by this resource") {
		t.Errorf("a second resource of the same unit: %v", err)
	}
	must(t, typ.Offline(t.Context(), inst))
	nothingLeft(t, f, inst)
	if f.unit.Restart != "always" || f.unit.Stale {
		t.Errorf("systemd goes by what was taken away: %+v", f.unit)
	}
	must(t, typ.Offline(t.Context(), inst))
	must(t, typ.Terminate(t.Context(), inst))
	if typ.LooksAlive(t.Context(), inst) == nil || f.typ().Adopt(t.Context(), inst) == nil {
		t.Error("a unit that is stopped looks alive")
	}
}

// TestTerminate kills a unit that systemd would start again, with processes that ignore signals, from the record alone.
func TestTerminate(t *testing.T) {
	for name, prepare := range map[string]func(*fake){
		"plain":                  func(*fake) {},
		"starts more at its end": func(f *fake) { f.post = "trap '' TERM; sleep 1000 & sleep 1000" },
		"somebody restarts it":   func(f *fake) { f.unit.Job = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, cgrouptest.Root(t))
			f.script = stubborn
			inst := instance(t, "web.service")
			must(t, f.typ().Online(t.Context(), inst))
			f.set(func() { prepare(f) })
			terminateFromRecord(t, f, inst)
			nothingLeft(t, f, inst)
			time.Sleep(50 * time.Millisecond)
			nothingLeft(t, f, inst)
			if f.starts != 1 {
				t.Errorf("the unit was started %d times", f.starts)
			}
		})
	}
}

const stubborn = `trap "" TERM; (setsid sleep 1000 &) ; sleep 1000 & wait`

// terminateFromRecord does it as the guardian does: another process, with nothing but the record.
func terminateFromRecord(t *testing.T, f *fake, inst *resourcetype.Instance) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	of := &resourcetype.Instance{Resource: inst.Resource, Spec: inst.Spec, Data: inst.Data, CgroupRoot: inst.CgroupRoot}
	must(t, f.typ().Terminate(ctx, of))
	must(t, f.typ().Terminate(ctx, of))
	inst.Data = of.Data
}

// TestTerminateWithoutSystemd: a systemd that does not answer may still act. It starts nothing more of the unit, and the next start on this
// host, when systemd answers again, begins as if nothing had been.
func TestTerminateWithoutSystemd(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	ran := filepath.Join(t.TempDir(), "ran")
	f.script, f.post = stubborn, "echo > "+ran+"; sleep 1000"
	inst := instance(t, "web.service")
	must(t, f.typ().Online(t.Context(), inst))
	f.set(func() { f.gone, f.late = true, 100*time.Millisecond })
	terminateFromRecord(t, f, inst)
	time.Sleep(200 * time.Millisecond)
	if n := processes(t, f); n != 0 {
		t.Errorf("%d processes of the unit are left", n)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("something was run after the kill")
	}
	if path, content := f.dropInFile(); !strings.Contains(content, "Restart=no") {
		t.Errorf("nothing keeps systemd from starting the unit again: %s has %q", path, content)
	}
	f.set(func() { f.gone, f.post, f.script = false, "", "sleep 1000" })
	other := instance(t, "web.service")
	other.Resource.UID = "another"
	f.set(func() { f.unit.Active = "deactivating" })
	if err := f.typ().Online(t.Context(), other); err == nil || !strings.Contains(err.Error(), "not started by this resource") {
		t.Errorf("another resource took it over: %v", err)
	}
	f.set(func() { f.unit.Active = "failed" })
	must(t, f.typ().Online(t.Context(), inst))
	must(t, f.typ().Offline(t.Context(), inst))
	nothingLeft(t, f, inst)
}

// TestStartInDoubt: what systemd was asked to start, and may start later, is not called gone while systemd cannot be asked.
func TestStartInDoubt(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	f.queued = true
	inst := instance(t, "web.service")
	ctx, cancel := context.WithCancel(t.Context())
	online := make(chan error, 1)
	go func() { online <- f.typ().Online(ctx, inst) }()
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		f.set(func() { waits = f.unit.Job != 0 })
	}
	// The agent dies here: its record is what it saved last.
	of := &resourcetype.Instance{Resource: inst.Resource, Spec: inst.Spec, Data: inst.Data, CgroupRoot: inst.CgroupRoot}
	f.set(func() { f.gone = true })
	if err := f.typ().Terminate(t.Context(), of); err == nil || !strings.Contains(err.Error(), "was being started, and may still be") {
		t.Errorf("Terminate() = %v", err)
	}
	f.set(func() { f.gone = false })
	must(t, f.typ().Terminate(t.Context(), of))
	if f.unit.Job != 0 || f.starts != 0 {
		t.Errorf("it is still to be started: %+v", f.unit.State)
	}
	cancel()
	<-online
}

// TestNotOurs: what was not started by the resource is left alone.
func TestNotOurs(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	if _, err := f.Start(t.Context(), "web.service"); err != nil {
		t.Fatal(err)
	}
	inst := instance(t, "web.service")
	must(t, f.typ().Terminate(t.Context(), inst))
	must(t, f.typ().Offline(t.Context(), inst))
	if err := f.typ().Adopt(t.Context(), inst); err == nil {
		t.Error("it was adopted")
	}
	if processes(t, f) == 0 {
		t.Error("it was ended")
	}
}

// TestUnitOfTheStart: a stop is of the unit that was started, whatever the spec says by now.
func TestUnitOfTheStart(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	inst := instance(t, "web.service")
	must(t, f.typ().Online(t.Context(), inst))
	inst.Spec = instance(t, "other.service").Spec
	must(t, f.typ().IsAlive(t.Context(), inst))
	must(t, f.typ().Offline(t.Context(), inst))
	nothingLeft(t, f, inst)
}

// TestInterrupted: whatever an agent has done before it died, the next start leaves one instance of the unit.
func TestInterrupted(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	inst := instance(t, "web.service")
	must(t, f.typ().Online(t.Context(), inst))
	first := f.main.Process.Pid
	must(t, f.typ().Online(t.Context(), inst))
	pids, err := cgroup.At(f.cgroup()).Processes()
	must(t, err)
	if f.starts != 2 || slices.Contains(pids, first) || !slices.Contains(pids, f.main.Process.Pid) {
		t.Errorf("processes %v after %d starts, of which the first was %d", pids, f.starts, first)
	}
	must(t, f.typ().Terminate(t.Context(), inst))
	nothingLeft(t, f, inst)
}

// TestStartFails: a start that does not succeed says why, and leaves nothing.
func TestStartFails(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(*fake)
		want    string
	}{
		"ends":        {func(f *fake) { f.result, f.unit.Result, f.unit.MainStatus = "failed", "exit-code", 3 }, "did not start: it is failed, exit-code (status 3); journalctl -u web.service"},
		"dependency":  {func(f *fake) { f.result = "dependency" }, "a unit that it requires has failed"},
		"queued":      {func(f *fake) { f.queued = true }, "deadline exceeded"},
		"overridden":  {func(f *fake) { f.file.DropIns = []string{"/etc/systemd/system/web.service.d/zzz.conf"} }, "another file changes the same settings of web.service"},
		"no systemd":  {func(f *fake) { f.gone = true }, "no answer"},
		"started":     {func(f *fake) { f.unit.Active = "active" }, "is active on this host already"},
		"enabled":     {func(f *fake) { f.unit.File = "enabled" }, "systemctl disable web.service"},
		"no lease":    {nil, "no quorum"},
		"no such one": {func(f *fake) { f.unit.Load = "not-found" }, "this host has no unit web.service"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, cgrouptest.Root(t))
			inst := instance(t, "web.service")
			if tc.prepare != nil {
				tc.prepare(f)
			} else {
				inst.MayAct = func() error { return errors.New("no quorum") }
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if err := f.typ().Online(ctx, inst); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Online() = %v, want %q", err, tc.want)
			}
			nothingLeft(t, f, inst)
			if f.starts != 0 || f.unit.Job != 0 {
				t.Errorf("it was started, or still is to be: %+v", f.unit.State)
			}
		})
	}
}

// TestStarted judges how units are after their start.
func TestStarted(t *testing.T) {
	for name, tc := range map[string]struct {
		unit systemd.Unit
		want string
	}{
		"runs":      {systemd.Unit{State: systemd.State{Active: "active"}}, ""},
		"reloads":   {systemd.Unit{State: systemd.State{Active: "reloading"}}, ""},
		"condition": {systemd.Unit{State: systemd.State{Active: "inactive"}}, "a condition in its file is not met"},
		"oneshot":   {systemd.Unit{State: systemd.State{Active: "inactive"}, Type: "oneshot", Condition: true, Result: "success"}, "RemainAfterExit=yes"},
		"forgotten": {systemd.Unit{State: systemd.State{Active: "inactive"}, Type: "oneshot", Result: "success"}, "RemainAfterExit=yes"},
		"neither":   {systemd.Unit{State: systemd.State{Active: "inactive"}, Type: "oneshot", Judged: true}, "a condition in its file is not met"},
		"killed":    {systemd.Unit{State: systemd.State{Active: "failed"}, Condition: true, Result: "oom-kill"}, "failed, oom-kill"},
	} {
		err := started(&tc.unit, "done")
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestCgroupOf finds the control group of a unit before it has one.
func TestCgroupOf(t *testing.T) {
	for slice, want := range map[string]string{
		"system.slice": "/c/system.slice/w.service", "a-b-c.slice": "/c/a.slice/a-b.slice/a-b-c.slice/w.service",
		"-.slice": "/c/w.service", "": "/c/w.service",
	} {
		if got := cgroupOf("/c", &systemd.Unit{Name: "w.service", Slice: slice}); got != want {
			t.Errorf("%s: %s, want %s", slice, got, want)
		}
	}
}

// TestProgress: a start that takes its time says what it is at.
func TestProgress(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	f.slow = 100 * time.Millisecond
	inst := instance(t, "web.service")
	var mu sync.Mutex
	var said []string
	inst.Progress = func(m string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, m)
	}
	must(t, f.typ().Online(t.Context(), inst))
	must(t, f.typ().Offline(t.Context(), inst))
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"web.service starts: start-pre", "web.service stops: stop-sigterm"} {
		if !slices.Contains(said, want) {
			t.Errorf("%q was not reported: %q", want, said)
		}
	}
}

// TestDropInOfOthers: what others have in the directory stays.
func TestDropInOfOthers(t *testing.T) {
	f := newFake(t, cgrouptest.Root(t))
	other := filepath.Join(f.runs, "web.service.d", "50-limits.conf")
	must(t, os.MkdirAll(filepath.Dir(other), 0o755))
	must(t, os.WriteFile(other, []byte("[Service]\n"), 0o644))
	inst := instance(t, "web.service")
	must(t, f.typ().Online(t.Context(), inst))
	must(t, f.typ().Offline(t.Context(), inst))
	if left, err := os.ReadDir(filepath.Dir(other)); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// FuzzQuote: whatever a parameter is, systemd reads it as one word that is the parameter.
func FuzzQuote(f *testing.F) {
	f.Add(parameters)
	f.Add("\n[Service]\nExecStartPre=/bin/sh -c 'id > /tmp/owned'")
	f.Add(`\`)
	f.Fuzz(func(t *testing.T, value string) {
		quoted, err := quote("A=" + value)
		if err != nil {
			return
		}
		if got := unquote(t, quoted); got != "A="+value {
			t.Errorf("%q became %q", value, got)
		}
	})
}

// TestQuoteRefuses what systemd would drop with no more than a line in its log.
func TestQuoteRefuses(t *testing.T) {
	for _, value := range []string{"a\x00b", "a\x1bb", "a\rb", "\xff"} {
		_, err := quote("QUORATE_START_PARAMETERS=" + value)
		if err == nil || !strings.Contains(err.Error(), "QUORATE_START_PARAMETERS has the character") {
			t.Errorf("%q: %v", value, err)
		}
	}
	text, err := quote("A=b\n[Service]\nUser=root")
	if err != nil || strings.Contains(text, "\n") {
		t.Errorf("a line of its own was made: %v\n%s", err, text)
	}
}
