package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/nodeagent"
	"github.com/quorate/quorate/pkg/quorum"
)

// asAgent makes the test binary behave as quorate-agent, so that the tests have real processes to kill.
const asAgent = "QUORATE_TEST_AS_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// host is one simulated host: directories of its own, addresses on the loopback interface.
type host struct {
	t    *testing.T
	id   model.NodeID
	name string
	dir  string
	cmd  *exec.Cmd
}

const clusterName = "processes"

// newHosts prepares hosts that have been in a cluster before: they need no API server to find each other.
func newHosts(t *testing.T, n int) []*host {
	t.Helper()
	settings := nodeagent.Settings{
		Cluster: clusterName, ClusterID: "00000000c1a5fe50", Interval: 250 * time.Millisecond, Threshold: 6, SelfFence: time.Second,
		DynamicVotes: true, Port: uint16(20000 + os.Getpid()%20000), Keys: [][]byte{[]byte("0123456789abcdef0123456789abcdef")},
		Networks: []nodeagent.NetworkSettings{{Name: "hb", Heartbeats: true}, {Name: "lan", Heartbeats: true}},
	}
	var ids []model.NodeID
	var hosts []*host
	for i := range n {
		id := model.NodeID(i + 1)
		ids = append(ids, id)
		name := fmt.Sprintf("node-%c", 'a'+i)
		settings.Nodes = append(settings.Nodes, nodeagent.NodeSettings{Name: name, ID: id, Votes: 1, Addresses: map[string]string{
			"hb":  netip.AddrFrom4([4]byte{127, 61, 1, byte(id)}).String(),
			"lan": netip.AddrFrom4([4]byte{127, 61, 2, byte(id)}).String(),
		}})
		hosts = append(hosts, &host{t: t, id: id, name: name, dir: t.TempDir()})
	}
	for _, h := range hosts {
		own := settings
		own.NodeName, own.Self = h.name, h.id
		h.write("state/cluster.json", own)
		h.write("state/membership.json", membership.Persistent{
			Incarnation: 1, Generation: 1, HighestView: 1, LongestHold: 1500 * time.Millisecond, Committed: quorum.NewRecord(1, 0, ids),
		})
		h.writeText("kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: x, cluster: {server: 'https://127.0.0.1:9'}}]\n"+
			"users: [{name: x, user: {token: x}}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n")
		t.Cleanup(h.cleanUp)
	}
	return hosts
}

func (h *host) write(path string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		h.t.Fatal(err)
	}
	h.writeText(path, string(raw))
}

func (h *host) writeText(path, text string) {
	path = filepath.Join(h.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) runDir() string { return filepath.Join(h.dir, "run") }

func (h *host) cgroup() string {
	return filepath.Join(defaultCgroupRoot()+"-test", strconv.Itoa(os.Getpid())+"-"+h.name)
}

func (h *host) start() {
	h.t.Helper()
	log, err := os.OpenFile(filepath.Join(h.dir, "agent.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	h.cmd = exec.Command("/proc/self/exe", "run", "--node", h.name, "--cluster", clusterName, "--run-dir", h.runDir(),
		"--state-dir", filepath.Join(h.dir, "state"), "--kubeconfig", filepath.Join(h.dir, "kubeconfig"), "--cgroup-root", h.cgroup(),
		"--sysrq-trigger", "") // it is the developer's machine
	h.cmd.Env = append(os.Environ(), asAgent+"=1")
	h.cmd.Stdout, h.cmd.Stderr = log, log
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) end(signal syscall.Signal) {
	h.t.Helper()
	if h.cmd == nil {
		return
	}
	if err := h.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		h.t.Error(err)
	}
	_ = h.cmd.Wait() // it was killed
	h.cmd = nil
}

// cleanUp ends the agent and the guardian that it has started, and shows the log of a test that failed.
func (h *host) cleanUp() {
	h.end(syscall.SIGKILL)
	// A guardian that has only just been started has not written its pid anywhere yet, so the processes themselves are asked, for a while.
	for range 30 {
		for _, pid := range h.guardians() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, dir := range []string{filepath.Join(h.cgroup(), "guardian"), h.cgroup(), filepath.Dir(h.cgroup())} {
		_ = unix.Rmdir(dir)
	}
	if h.t.Failed() {
		raw, _ := os.ReadFile(filepath.Join(h.dir, "agent.log"))
		h.t.Logf("%s:\n%s", h.name, raw)
	}
}

// guardians are the processes that watch this host's run directory.
func (h *host) guardians() []int {
	var pids []int
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(raw), "\x00guardian\x00") || !strings.Contains(string(raw), h.runDir()) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (h *host) status() *nodeagent.LocalStatus {
	s, err := nodeagent.ReadLocalStatus(h.runDir())
	if err != nil {
		return &nodeagent.LocalStatus{}
	}
	return s
}

// await waits until the condition holds for all hosts and returns how long that took.
func await(t *testing.T, what string, hosts []*host, holds func(*nodeagent.LocalStatus) bool) time.Duration {
	t.Helper()
	started := time.Now()
	for time.Since(started) < 15*time.Second {
		all := true
		for _, h := range hosts {
			all = all && holds(h.status())
		}
		if all {
			return time.Since(started)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, h := range hosts {
		t.Logf("%s: %+v", h.name, *h.status())
	}
	t.Fatalf("waited in vain for: %s", what)
	return 0
}

func actingWith(members int) func(*nodeagent.LocalStatus) bool {
	return func(s *nodeagent.LocalStatus) bool { return s.Acting && s.Keeping && len(s.Members) == members }
}

// TestProcesses runs three agents without an API server: they form a view, survive kill -9 of one of them without losing anything,
// and go on when one stays away.
func TestProcesses(t *testing.T) {
	hosts := newHosts(t, 3)
	for _, h := range hosts {
		h.start()
	}
	await(t, "a view of three", hosts, actingWith(3))
	a, c := hosts[0], hosts[2]
	before := a.status()
	for round := range 3 {
		a.end(syscall.SIGKILL)
		a.start()
		pid := a.cmd.Process.Pid
		took := await(t, "the killed agent", hosts[:1], func(s *nodeagent.LocalStatus) bool { return s.PID == pid && s.Acting })
		t.Logf("round %d: acting again %s after the new agent's exec", round, took.Round(time.Millisecond))
		after := a.status()
		if after.Generation != before.Generation || after.Incarnation != before.Incarnation || after.View != before.View {
			t.Errorf("after kill -9: generation %d, incarnation %d, view %s; before: %d, %d, %s",
				after.Generation, after.Incarnation, after.View, before.Generation, before.Incarnation, before.View)
		}
	}
	for _, h := range hosts[1:] {
		if s := h.status(); s.View != before.View || s.Generation == 0 {
			t.Errorf("%s saw the kill: view %s, before %s", h.name, s.View, before.View)
		}
	}

	a.end(syscall.SIGTERM)
	a.start()
	await(t, "the restarted agent", hosts, actingWith(3))
	if after := a.status(); after.View != before.View || after.Generation != before.Generation {
		t.Errorf("after SIGTERM: generation %d, view %s; before %d, %s", after.Generation, after.View, before.Generation, before.View)
	}

	c.end(syscall.SIGKILL)
	took := await(t, "a view of two", hosts[:2], actingWith(2))
	t.Logf("a view without the dead node after %s (T is 1.5s)", took.Round(time.Millisecond))
	if took > 4*time.Second {
		t.Errorf("the survivors needed %s", took)
	}

	// Back after longer than T: a new life, and the old one is over.
	c.start()
	await(t, "a view of three again", hosts, actingWith(3))
	if s := c.status(); s.Generation < 2 {
		t.Errorf("node-c is back in generation %d", s.Generation)
	}
}

// TestLosesQuorum: a node whose peers are gone stops keeping by its own clock, begins a new generation and waits.
func TestLosesQuorum(t *testing.T) {
	hosts := newHosts(t, 3)
	for _, h := range hosts {
		h.start()
	}
	await(t, "a view of three", hosts, actingWith(3))
	generation := hosts[0].status().Generation
	hosts[1].end(syscall.SIGKILL)
	hosts[2].end(syscall.SIGKILL)
	await(t, "the loss of quorum", hosts[:1], func(s *nodeagent.LocalStatus) bool {
		return !s.Keeping && !s.Acting && s.Generation == generation+1 && s.Ready
	})
	hosts[1].start()
	await(t, "a view of two", hosts[:2], actingWith(2))
}

// TestRefusals: what cannot work is said at the start.
func TestRefusals(t *testing.T) {
	h := newHosts(t, 1)[0]
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no node":             {[]string{"run"}, "--node and --cluster"},
		"other node's state":  {[]string{"run", "--node", "x", "--cluster", clusterName}, "is that of node node-a"},
		"metrics for all":     {[]string{"run", "--node", h.name, "--cluster", clusterName, "--metrics-bind-address", ":9"}, "loopback"},
		"no agent has run":    {[]string{"status"}, "no agent has run"},
		"unknown log level":   {[]string{"run", "--node", h.name, "--cluster", clusterName, "--log-level", "loud"}, "--log-level"},
		"status as something": {[]string{"status", "-o", "xml"}, "no agent has run"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(tc.args, "--run-dir", h.runDir())
			if tc.args[0] == "run" {
				args = append(args, "--state-dir", filepath.Join(h.dir, "state"), "--kubeconfig", filepath.Join(h.dir, "kubeconfig"))
			}
			cmd := exec.Command("/proc/self/exe", args...)
			cmd.Env = append(os.Environ(), asAgent+"=1", "NODE_NAME=")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), tc.want) {
				t.Errorf("%v said %q (%v), want %q", args, out, err, tc.want)
			}
		})
	}
}
