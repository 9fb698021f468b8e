package resourcehost

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// childEnv makes the test's binary a monitor process.
const childEnv = "RESOURCEHOST_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "1":
		os.Exit(child())
	case "agent":
		os.Exit(dyingAgent())
	}
	os.Exit(m.Run())
}

func child() int {
	conn, err := net.FileConn(os.Stdin)
	if err != nil {
		return 3
	}
	types := resourcetype.NewRegistry()
	types.Register("Scripted", scripted{})
	if err := Serve(context.Background(), conn, types, logr.Discard()); err != nil {
		return 4
	}
	return 0
}

// scripted does what the spec says in each call: a word of the spec for Online and the like.
type scripted struct{}

func (scripted) do(ctx context.Context, inst *resourcetype.Instance, op string) error {
	script := map[string]string{}
	if err := json.Unmarshal(inst.Spec, &script); err != nil {
		return err
	}
	switch script[op] {
	case "fail":
		return errors.New("it does not want to")
	case "hang":
		select {}
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "panic":
		panic("unforeseen")
	case "die":
		if _, err := os.Stat(script["once"]); err == nil {
			_ = os.Remove(script["once"])
			os.Exit(7)
		}
	case "save":
		inst.Report("saving for %s", inst.Resource)
		if err := inst.Save(map[string]int{"pid": os.Getpid()}); err != nil {
			return err
		}
		return inst.MayStart()
	}
	return nil
}

func (s scripted) Online(ctx context.Context, i *resourcetype.Instance) error {
	return s.do(ctx, i, "Online")
}
func (s scripted) Offline(ctx context.Context, i *resourcetype.Instance) error {
	return s.do(ctx, i, "Offline")
}
func (s scripted) Terminate(ctx context.Context, i *resourcetype.Instance) error {
	return s.do(ctx, i, "Terminate")
}
func (s scripted) LooksAlive(ctx context.Context, i *resourcetype.Instance) error {
	return s.do(ctx, i, "LooksAlive")
}
func (s scripted) IsAlive(ctx context.Context, i *resourcetype.Instance) error {
	return s.do(ctx, i, "IsAlive")
}
func (s scripted) Adopt(ctx context.Context, i *resourcetype.Instance) error {
	return s.do(ctx, i, "Adopt")
}

func (s scripted) Watch(ctx context.Context, i *resourcetype.Instance) (<-chan error, error) {
	failures := make(chan error, 1)
	go func() {
		if err := s.do(ctx, i, "Watch"); err != nil && ctx.Err() == nil {
			failures <- err
		}
	}()
	return failures, nil
}

func newHosts(t *testing.T) *Hosts {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := New(func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childEnv+"=1")
		cmd.Stderr = os.Stderr
		return cmd
	}, logr.Discard())
	t.Cleanup(h.Close)
	return h
}

func instance(t *testing.T, script map[string]string) *resourcetype.Instance {
	t.Helper()
	raw, err := json.Marshal(script)
	if err != nil {
		t.Fatal(err)
	}
	return &resourcetype.Instance{
		Type: "Scripted", Resource: resourcetype.Identity{UID: "u1", Namespace: "n", Name: "r"}, Epoch: 7, Spec: raw,
	}
}

func TestCalls(t *testing.T) {
	h := newHosts(t)
	app := h.Type(scripted{}, "u1")
	inst := instance(t, map[string]string{"Online": "save", "Offline": "fail", "IsAlive": "panic"})
	var saved []byte
	var progress string
	inst.SaveData = func(v any) error { saved, _ = json.Marshal(v); return nil }
	inst.Progress = func(message string) { progress = message }
	if err := app.Online(t.Context(), inst); err != nil {
		t.Fatal(err)
	}
	var data map[string]int
	if ok, err := inst.LoadData(&data); !ok || err != nil || data["pid"] != h.PID("u1") || string(saved) != string(inst.Data) {
		t.Errorf("saved %s, the instance has %s (%v): want the process %d", saved, inst.Data, err, h.PID("u1"))
	}
	if data["pid"] == os.Getpid() || progress != "saving for n/r" {
		t.Errorf("process %d, progress %q", data["pid"], progress)
	}
	denied := errors.New("no lease")
	inst.MayAct = func() error { return denied }
	if err := app.Online(t.Context(), inst); !errors.Is(err, denied) {
		t.Errorf("the lease check: %v", err)
	}
	full := errors.New("disk full")
	inst.SaveData = func(any) error { return full }
	if err := app.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("a run state that cannot be written: %v", err)
	}
	if err := app.Offline(t.Context(), inst); err == nil || err.Error() != "it does not want to" {
		t.Errorf("a failure: %v", err)
	}
	if err := app.IsAlive(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "panicked: unforeseen") {
		t.Errorf("a panic: %v", err)
	}
	if h.PID("u1") != data["pid"] {
		t.Error("failures and panics have cost the process")
	}
}

// TestDeadlock: a call that does not end when it is given up costs its process, and no other one; the next call has a new process.
func TestDeadlock(t *testing.T) {
	h := newHosts(t)
	stuck, other := h.Type(scripted{}, "u1"), h.Type(scripted{}, "u2")
	inst := instance(t, map[string]string{"Offline": "hang", "Online": "wait"})
	for _, app := range []resourcetype.Type{stuck, other} {
		if err := app.LooksAlive(t.Context(), inst); err != nil {
			t.Fatal(err)
		}
	}
	before, beside := h.PID("u1"), h.PID("u2")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := stuck.Online(ctx, inst); err == nil || h.PID("u1") != before {
		t.Errorf("a call that ends when it is given up: %v, process %d, then %d", err, before, h.PID("u1"))
	}
	if err := stuck.Offline(ctx, inst); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("a call that hangs: %v", err)
	}
	if err := stuck.Terminate(t.Context(), inst); err != nil {
		t.Errorf("the next call: %v", err)
	}
	if now := h.PID("u1"); now == before || now == 0 || h.PID("u2") != beside {
		t.Errorf("processes %d and %d, before %d and %d", now, h.PID("u2"), before, beside)
	}
}

// TestProcessDies: checks and watches go on in a new process, as if nothing had happened; what was to change something has failed.
func TestProcessDies(t *testing.T) {
	h := newHosts(t)
	once := filepath.Join(t.TempDir(), "once")
	touch := func() {
		if err := os.WriteFile(once, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	app := h.Type(scripted{}, "u1")
	inst := instance(t, map[string]string{"LooksAlive": "die", "Online": "die", "Watch": "wait", "once": once})
	ctx, cancel := context.WithCancel(t.Context())
	failures, err := app.(resourcetype.Watcher).Watch(ctx, inst)
	if err != nil {
		t.Fatal(err)
	}
	touch()
	if err := app.LooksAlive(t.Context(), inst); err != nil {
		t.Errorf("a check in the middle of which the process died: %v", err)
	}
	touch()
	if err := app.Online(t.Context(), inst); !errors.Is(err, errEnded) {
		t.Errorf("a start in the middle of which the process died: %v", err)
	}
	time.Sleep(3 * again)
	select {
	case err := <-failures:
		t.Errorf("the watch has taken the end of the process for that of the resource: %v", err)
	default:
	}
	if h.PID("u1") == 0 {
		t.Error("the watch has not begun anew")
	}
	cancel()
	if err, open := <-failures; open {
		t.Errorf("the watch was ended, and says %v", err)
	}
	failing := instance(t, map[string]string{"Watch": "fail"})
	failures, err = app.(resourcetype.Watcher).Watch(t.Context(), failing)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-failures; err == nil || err.Error() != "it does not want to" {
		t.Errorf("a failure that is seen by watching: %v", err)
	}
}

// TestRelease: the process of what is offline ends, and all of them with the monitor.
func TestRelease(t *testing.T) {
	h := newHosts(t)
	inst := instance(t, nil)
	for _, uid := range []string{"u1", "u2"} {
		if err := h.Type(scripted{}, uid).LooksAlive(t.Context(), inst); err != nil {
			t.Fatal(err)
		}
	}
	pids := []int{h.PID("u1"), h.PID("u2")}
	h.Release("u1")
	gone(t, pids[0])
	h.Close()
	gone(t, pids[1])
	if err := h.Type(scripted{}, "u1").LooksAlive(t.Context(), inst); !errors.Is(err, errEnded) {
		t.Errorf("after the end: %v", err)
	}
}

// dyingAgent is an agent with one monitor process, whose id it prints.
func dyingAgent() int {
	self, _ := os.Executable()
	h := New(func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childEnv+"=1")
		return cmd
	}, logr.Discard())
	if err := h.Type(scripted{}, "u1").LooksAlive(context.Background(), &resourcetype.Instance{Type: "Scripted", Spec: []byte("{}")}); err != nil {
		return 5
	}
	_, _ = os.Stdout.WriteString(strconv.Itoa(h.PID("u1")) + "\n")
	select {}
}

// TestAgentDies: the agent's death kills its monitor processes, even one that does not notice because it is stopped: it would otherwise go on
// with what it was about to start when the node's lease has long ended.
func TestAgentDies(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(self)
	agent.Env = append(os.Environ(), childEnv+"=agent")
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, wrong := strconv.Atoi(strings.TrimSpace(line))
	if err := errors.Join(err, wrong); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Kill(pid, syscall.SIGSTOP), agent.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait() // it was killed
	gone(t, pid)
}

func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}

// TestInstanceTravels: every field of an instance that is not bound to the agent's process reaches the monitor process.
func TestInstanceTravels(t *testing.T) {
	inst := instance(t, map[string]string{"Online": "save"})
	inst.SaveData, inst.MayAct, inst.Progress = func(any) error { return nil }, func() error { return nil }, func(string) {}
	raw, err := json.Marshal(inst)
	if err != nil {
		t.Fatal(err)
	}
	back := &resourcetype.Instance{}
	if err := json.Unmarshal(raw, back); err != nil {
		t.Fatal(err)
	}
	if back.Epoch != 7 || back.Resource != inst.Resource || string(back.Spec) != string(inst.Spec) || back.SaveData != nil {
		t.Errorf("%+v of %s", back, raw)
	}
}

// FuzzFrames: whatever a process says, it is frames or an error.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(`{"id":1,"kind":"done"}` + "\n"))
	f.Add([]byte(`{"kind":"call"}` + "\n{"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := newWire(nopCloser{strings.NewReader(string(raw))})
		for {
			frame, err := w.receive()
			if err != nil {
				return
			}
			if frame.Kind == kindCall && frame.Instance == nil {
				t.Errorf("a call without its resource of %q", raw)
			}
		}
	})
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Write(p []byte) (int, error) { return len(p), nil }
func (nopCloser) Close() error                { return nil }
