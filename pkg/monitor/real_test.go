package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/genericapplication"
	"github.com/quorate/quorate/pkg/resourcetype/loopbackdisk"
	"github.com/quorate/quorate/pkg/runstate"
)

// agentEnv makes the test binary behave as an agent that runs one group, for the tests to kill.
const agentEnv = "QUORATE_TEST_MONITOR"

// agentConfig is what such an agent is told.
type agentConfig struct {
	RunDir, StateDir, CgroupRoot string
	Desired                      GroupDesired
}

func TestMain(m *testing.M) {
	if path := os.Getenv(agentEnv); path != "" {
		if err := agent(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func realTypes() *resourcetype.Registry {
	types := resourcetype.NewRegistry()
	types.Register("LoopbackDisk", loopbackdisk.New())
	types.Register("GenericApplication", genericapplication.New())
	return types
}

func agent(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c agentConfig
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	store, err := runstate.Open(c.RunDir, c.StateDir)
	if err != nil {
		return err
	}
	m, err := New(Options{
		Types: realTypes(), Store: store, MayAct: func() error { return nil }, NodeName: "node-a", Node: 1, Generation: 1,
		Cluster: "test", ClusterID: "0011223344556677", CgroupRoot: c.CgroupRoot, RunDir: c.RunDir, Log: logr.Discard(),
	})
	if err != nil {
		return err
	}
	if _, err := m.Adopt(); err != nil {
		return err
	}
	if left := m.CleanUp(context.Background()); len(left) > 0 {
		return fmt.Errorf("left: %+v", left)
	}
	if err := m.Apply(c.Desired); err != nil {
		return err
	}
	for {
		raw, err := json.Marshal(m.Reports()[0])
		if err != nil {
			return err
		}
		if err := os.WriteFile(path+".report.new", raw, 0o600); err != nil {
			return err
		}
		if err := os.Rename(path+".report.new", path+".report"); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// realHost runs a disk and an application on it, in agents that can be killed.
type realHost struct {
	t      *testing.T
	config string
	c      agentConfig
	mount  string
	cmd    *exec.Cmd
	reaped chan struct{}
}

func newRealHost(t *testing.T) *realHost {
	t.Helper()
	dir := t.TempDir()
	h := &realHost{t: t, config: filepath.Join(dir, "config"), mount: filepath.Join(dir, "mnt")}
	h.c = agentConfig{RunDir: filepath.Join(dir, "run"), StateDir: filepath.Join(dir, "state"), CgroupRoot: cgrouptest.Root(t)}
	image := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	timing := lifecycle.Timing{}.WithDefaults()
	one := func(name, kind string, spec map[string]any, deps ...lifecycle.Dependency) ResourceDesired {
		raw, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		return ResourceDesired{
			Resource: resourcetype.Identity{UID: "uid-" + name, Namespace: "demo", Name: name}, Type: kind, Spec: raw, Online: true,
			DependsOn: deps, Timing: timing,
		}
	}
	script := "while :; do echo $$ >> " + h.mount + "/pids; sleep 0.005; done"
	h.c.Desired = GroupDesired{
		Group: resourcetype.Identity{UID: "uid-group", Namespace: "demo", Name: "group"}, Run: true, Epoch: 3,
		Resources: []ResourceDesired{
			one("disk", "LoopbackDisk", map[string]any{"type": "LoopbackDisk", "loopbackDisk": map[string]any{
				"file": image, "size": "64Mi", "fsType": "ext4", "mountPath": h.mount,
			}}),
			one("app", "GenericApplication", map[string]any{"type": "GenericApplication", "genericApplication": map[string]any{
				"command": []string{"/bin/sh", "-c", script},
			}}, lifecycle.On("disk")),
		},
	}
	t.Cleanup(h.cleanUp)
	return h
}

func (h *realHost) start() {
	h.t.Helper()
	raw, err := json.Marshal(h.c)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.config, raw, 0o600); err != nil {
		h.t.Fatal(err)
	}
	_ = os.Remove(h.config + ".report")
	h.cmd = exec.Command("/proc/self/exe")
	h.cmd.Env = append(os.Environ(), agentEnv+"="+h.config)
	h.cmd.Stderr = os.Stderr
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.reaped = make(chan struct{})
	go func(cmd *exec.Cmd, reaped chan struct{}) { _ = cmd.Wait(); close(reaped) }(h.cmd, h.reaped)
}

func (h *realHost) kill() {
	h.t.Helper()
	if err := h.cmd.Process.Signal(unix.SIGKILL); err != nil {
		h.t.Fatalf("the agent had ended by itself: %v", err)
	}
	<-h.reaped
}

func (h *realHost) cleanUp() {
	if h.cmd != nil {
		_ = h.cmd.Process.Kill()
		<-h.reaped
	}
	store, err := runstate.Open(h.c.RunDir, "")
	if err != nil {
		h.t.Error(err)
		return
	}
	records, _ := store.Resources()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	reaper := Reaper{
		Types: realTypes(), Store: store, CgroupRoot: h.c.CgroupRoot, RunDir: h.c.RunDir, Ordered: time.Second, Log: logr.Discard(),
	}
	if left := reaper.Reap(ctx, records); len(left) != 0 {
		h.t.Errorf("left: %+v", left)
	}
	if h.mounted() {
		h.t.Error("S9: the disk is still mounted")
	}
	if n := len(h.processes()); n != 0 {
		h.t.Errorf("S9: %d processes are left", n)
	}
}

func (h *realHost) mounted() bool {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(raw), " "+h.mount+" ")
}

// processes lists the processes in the cgroups of the host.
func (h *realHost) processes() []int {
	pids, err := cgroup.At(h.c.CgroupRoot).Processes()
	if err != nil {
		h.t.Error(err)
	}
	return pids
}

// shells are the application's main processes: those that run the script and are not a fork of one that does, about to be a sleep.
func (h *realHost) shells() []string {
	h.t.Helper()
	parents := map[string]string{}
	for _, pid := range h.processes() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !strings.Contains(string(line), "while :;") {
			continue
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(status), "\nPPid:\t")
		parent, _, _ := strings.Cut(rest, "\n")
		parents[fmt.Sprint(pid)] = parent
	}
	var shells []string
	for pid, parent := range parents {
		if _, fork := parents[parent]; !fork {
			shells = append(shells, pid)
		}
	}
	return shells
}

func (h *realHost) untilOnline() GroupReport {
	h.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	var report GroupReport
	for time.Now().Before(deadline) {
		raw, err := os.ReadFile(h.config + ".report")
		if err == nil && json.Unmarshal(raw, &report) == nil && isOnline(report) {
			return report
		}
		time.Sleep(2 * time.Millisecond)
	}
	h.t.Fatalf("it does not come online: %+v", report)
	return report
}

// TestKillAgentAnywhere kills the agent at random moments of a start with a real disk and a real process: the next agents end in one
// process and a mounted disk, and what was online is not touched.
func TestKillAgentAnywhere(t *testing.T) {
	h := newRealHost(t)
	for range 8 {
		h.start()
		time.Sleep(rand.N(120 * time.Millisecond))
		h.kill()
	}
	h.start()
	h.untilOnline()
	shells := h.shells()
	if len(shells) != 1 || !h.mounted() {
		t.Fatalf("processes %v, mounted %v", shells, h.mounted())
	}
	for range 5 {
		h.kill()
		h.start()
		h.untilOnline()
		time.Sleep(rand.N(50 * time.Millisecond))
	}
	if after := h.shells(); len(after) != 1 || after[0] != shells[0] {
		t.Errorf("a restart of the agent touched the process: %v became %v", shells, after)
	}
}

// TestKillAgentInFormatting kills the agent while the disk is half formatted: the next one formats it again and has the group online.
func TestKillAgentInFormatting(t *testing.T) {
	h := newRealHost(t)
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// The first one writes something, and then hangs until it dies with the agent.
	script := fmt.Sprintf("#!/bin/sh\nif mkdir %[1]s/first; then\n  for device; do :; done\n  dd if=/dev/urandom of=$device bs=4096 seek=100 count=50 "+
		"conv=notrunc,fsync\n  touch %[1]s/half\n  exec sleep 600\nfi\nexec %[2]s \"$@\"\n", dir, mkfs)
	if err := os.WriteFile(filepath.Join(dir, "mkfs.ext4"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	h.start()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "half")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the formatting does not begin")
		}
	}
	h.kill()
	h.start()
	h.untilOnline()
	if len(h.shells()) != 1 || !h.mounted() {
		t.Errorf("processes %v, mounted %v", h.shells(), h.mounted())
	}
}

// TestRealGroupMovesOut withdraws the group: all is gone, and the file is free for the next owner.
func TestRealGroupMovesOut(t *testing.T) {
	h := newRealHost(t)
	h.start()
	h.untilOnline()
	h.kill()
	h.c.Desired.Run, h.c.Desired.Epoch = false, 4
	h.start()
	deadline := time.Now().Add(20 * time.Second)
	for h.mounted() || len(h.processes()) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("mounted %v, processes %v", h.mounted(), h.processes())
		}
		time.Sleep(2 * time.Millisecond)
	}
}
