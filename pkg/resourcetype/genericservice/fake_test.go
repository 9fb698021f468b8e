package genericservice

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/systemd"
)

// fake is a systemd with one unit, whose processes are real and in a control group of their own. Like the real one it goes by what it has
// read of the unit's files, and starts a unit again that ends without being told to, if Restart= says so.
type fake struct {
	t    *testing.T
	root string // of the control groups
	runs string // directory of drop-ins

	mu      sync.Mutex
	unit    systemd.Unit // as it is now
	file    systemd.Unit // as its files are, without the drop-in
	others  map[string]*systemd.Unit
	script  string // what the unit runs
	post    string // what it runs after its end, as ExecStopPost=
	result  string // of the next job, instead of starting anything
	queued  bool   // the next start waits for something, for ever
	slow    time.Duration
	gone    bool          // it does not answer
	late    time.Duration // it takes so long to see that a process has ended
	main    *exec.Cmd
	stops   bool // it was told to stop
	starts  int
	reloads int
	told    []chan struct{}
	ended   sync.WaitGroup
}

var errGone = errors.New("no answer")

func newFake(t *testing.T, root string) *fake {
	f := &fake{t: t, root: root, runs: t.TempDir(), script: "sleep 1000 & sleep 1000", others: map[string]*systemd.Unit{}}
	f.file = systemd.Unit{
		Name: "web.service", Load: "loaded", File: "disabled", Type: "exec", Restart: "always", Slice: "shop-front.slice", Condition: true,
		StartTimeout: time.Minute, StopTimeout: time.Minute, State: systemd.State{Active: "inactive", Sub: "dead"}, Result: "success",
	}
	f.unit = f.file
	t.Cleanup(func() {
		f.mu.Lock()
		f.unit.Restart, f.post = "no", ""
		f.mu.Unlock()
		_ = cgroup.At(f.cgroup()).Kill(context.Background())
		f.ended.Wait()
	})
	return f
}

func (f *fake) typ() *Type {
	return &Type{units: f, dropIns: f.runs, mount: func(string) (string, error) { return f.root, nil }}
}

func (f *fake) cgroup() string {
	return filepath.Join(f.root, "shop.slice", "shop-front.slice", "web.service")
}

// set changes the fake.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) tell() {
	for _, told := range f.told {
		select {
		case told <- struct{}{}:
		default:
		}
	}
}

// dropInFile is what there is on disk now.
func (f *fake) dropInFile() (path, content string) {
	path = filepath.Join(f.runs, "web.service.d", dropInName)
	raw, _ := os.ReadFile(path)
	return path, string(raw)
}

// read is what systemd does with the unit's files.
func (f *fake) read() {
	path, content := f.dropInFile()
	f.unit.Restart, f.unit.Environment, f.unit.DropIns, f.unit.Stale = f.file.Restart, nil, f.file.DropIns, false
	if content == "" {
		return
	}
	f.unit.DropIns = append(slices.Clone(f.file.DropIns), path)
	for line := range strings.Lines(content) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "Restart":
			f.unit.Restart = value
		case "Environment":
			f.unit.Environment = append(f.unit.Environment, unquote(f.t, value))
		}
	}
	if slices.Contains(f.file.DropIns, "/etc/systemd/system/web.service.d/zzz.conf") {
		f.unit.Restart = "on-failure"
	}
}

func (f *fake) Unit(_ context.Context, name string) (*systemd.Unit, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.gone:
		return nil, errGone
	case f.others[name] != nil:
		return f.others[name], nil
	}
	if _, content := f.dropInFile(); (content != "") != slices.ContainsFunc(f.unit.DropIns, func(s string) bool { return strings.HasPrefix(s, f.runs) }) {
		f.unit.Stale = true
	}
	u := f.unit
	return &u, nil
}

func (f *fake) State(ctx context.Context, name string) (systemd.State, error) {
	u, err := f.Unit(ctx, name)
	if err != nil {
		return systemd.State{}, err
	}
	return u.State, nil
}

func (f *fake) Start(ctx context.Context, _ string) (string, error) {
	f.mu.Lock()
	if f.gone {
		f.mu.Unlock()
		return "", errGone
	}
	if f.queued {
		f.unit.Job = 7
		f.mu.Unlock()
		<-ctx.Done()
		return "", ctx.Err()
	}
	f.unit.Active, f.unit.Sub, f.unit.Job = "activating", "start-pre", 7
	f.tell()
	slow := f.slow
	f.mu.Unlock()
	time.Sleep(slow)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unit.Job = 0
	if f.result != "" {
		if f.unit.Active == "activating" {
			f.unit.Active, f.unit.Sub = "failed", "failed"
		}
		return f.result, nil
	}
	f.run(f.script)
	return "done", nil
}

// run starts the unit's process.
func (f *fake) run(script string) {
	cg := cgroup.At(f.cgroup())
	_ = cg.Remove() // systemd does when it is empty; kernels since 6.14 kill what is born in one that was killed as a whole before
	if err := cg.Create(); err != nil {
		f.t.Error(err)
		return
	}
	dir, err := cg.Open()
	if err != nil {
		f.t.Error(err)
		return
	}
	defer dir.Close()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = append(slices.Clone(f.unit.Environment), "PATH="+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := cmd.Start(); err != nil {
		f.t.Error(err)
		return
	}
	f.main, f.stops, f.starts = cmd, false, f.starts+1
	f.unit.Active, f.unit.Sub, f.unit.ControlGroup = "active", "running", "/shop.slice/shop-front.slice/web.service"
	f.tell()
	f.ended.Go(func() { f.end(cmd) })
}

// end is what systemd does when the main process has ended.
func (f *fake) end(cmd *exec.Cmd) {
	err := cmd.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if late := f.late; late > 0 {
		f.mu.Unlock()
		time.Sleep(late)
		f.mu.Lock()
	}
	if f.post != "" {
		post := exec.Command("/bin/sh", "-c", f.post)
		if dir, err := cgroup.At(f.cgroup()).Open(); err == nil {
			post.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
			f.unit.Active, f.unit.Sub = "deactivating", "stop-post"
			f.mu.Unlock()
			_ = post.Run()
			_ = dir.Close()
			f.mu.Lock()
		}
	}
	f.unit.Active, f.unit.Sub, f.unit.ControlGroup = "inactive", "dead", ""
	if err != nil && !f.stops {
		f.unit.Active, f.unit.Sub, f.unit.Result, f.unit.MainStatus = "failed", "failed", "signal", 9
		if f.unit.Restart != "no" {
			f.run(f.script)
		}
	}
	f.tell()
}

func (f *fake) Stop(ctx context.Context, _ string) (string, error) {
	f.mu.Lock()
	if f.gone {
		f.mu.Unlock()
		return "", errGone
	}
	f.unit.Job = 8
	if f.unit.Active == "active" {
		f.unit.Active, f.unit.Sub, f.stops = "deactivating", "stop-sigterm", true
	}
	main := f.main
	f.tell()
	slow := f.slow
	f.mu.Unlock()
	time.Sleep(slow)
	if main != nil {
		_ = main.Process.Signal(unix.SIGTERM) // only the main process, as with KillMode=process
		for f.active() == "deactivating" && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	f.set(func() { f.unit.Job = 0 })
	return "done", ctx.Err()
}

func (f *fake) active() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unit.Active
}

func (f *fake) Cancel(context.Context, string) error {
	f.set(func() { f.unit.Job, f.queued = 0, false })
	return nil
}

func (f *fake) Kill(context.Context, string, int32) error { return nil }

func (f *fake) ResetFailed(context.Context, string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return errGone
	}
	if f.unit.Active == "failed" {
		f.unit.Active, f.unit.Sub, f.unit.Result = "inactive", "dead", "success"
	}
	return nil
}

func (f *fake) Reload(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return errGone
	}
	f.reloads++
	f.read()
	return nil
}

func (f *fake) Changes(context.Context, string) (<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return nil, errGone
	}
	told := make(chan struct{}, 1)
	f.told = append(f.told, told)
	return told, nil
}

// unquote reads a value as systemd does (systemd.syntax(7)).
func unquote(t testing.TB, quoted string) string {
	t.Helper()
	inner, opened := strings.CutPrefix(quoted, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	if !opened || !closed || strings.Contains(inner, "\n") {
		t.Fatalf("%q is not one quoted word", quoted)
	}
	var out strings.Builder
	for i := 0; i < len(inner); i++ {
		c := inner[i]
		if c == '"' {
			t.Fatalf("%q ends in the middle", quoted)
		}
		if c != '\\' && c != '%' {
			out.WriteByte(c)
			continue
		}
		if i++; i == len(inner) {
			t.Fatalf("%q ends in the middle of an escape", quoted)
		}
		to, known := map[string]byte{`\\`: '\\', `\"`: '"', `\n`: '\n', `\t`: '\t', "%%": '%'}[string(c)+inner[i:i+1]]
		if !known {
			t.Fatalf("%q has the escape %c%c", quoted, c, inner[i])
		}
		out.WriteByte(to)
	}
	return out.String()
}
