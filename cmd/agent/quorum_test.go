package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/nodeagent"
)

// ask runs a command of quorate-agent against this host's agent.
func (h *host) ask(args ...string) (string, error) {
	cmd := exec.Command("/proc/self/exe", append(args, "--run-dir", h.runDir())...)
	cmd.Env = append(os.Environ(), asAgent+"=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// answer is ask, for an agent that has only just started.
func (h *host) answer(args ...string) string {
	h.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		out, err := h.ask(args...)
		if err == nil {
			return out
		}
		if !strings.Contains(out, "no agent answers") || time.Now().After(deadline) {
			h.t.Fatalf("%v says %q: %v", args, out, err)
		}
	}
}

// TestQuorumStatus asks a running agent over its socket; there is no API server.
func TestQuorumStatus(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the agent's socket serves only root")
	}
	hosts := newHosts(t, 2)
	if out, err := hosts[0].ask("quorum", "status"); err == nil || !strings.Contains(out, "no agent answers") {
		t.Errorf("without an agent: %q, %v", out, err)
	}
	for _, h := range hosts {
		h.start()
	}
	await(t, "a view of two", hosts, actingWith(2))
	out := hosts[0].answer("quorum", "status", "-o", "json")
	var s nodeagent.QuorumStatus
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	if s.Node != "node-a" || s.ActingFor == "" || s.KeepingFor == "" || len(s.Members) != 2 || len(s.Peers) != 1 {
		t.Errorf("status %+v", s)
	}
	if p := s.Peers[0]; p.Node != "node-b" || p.State != "Heard" || p.GrantFor == "" {
		t.Errorf("peer %+v", p)
	}
	if out := hosts[0].answer("quorum", "status"); !strings.Contains(out, "node-b: Heard, grants for") {
		t.Errorf("the table says %q", out)
	}
	// The next agent takes the socket over, whatever the one before has left.
	hosts[0].end(syscall.SIGKILL)
	hosts[0].start()
	pid := hosts[0].cmd.Process.Pid
	await(t, "the next agent", hosts[:1], func(s *nodeagent.LocalStatus) bool { return s.PID == pid && s.Acting })
	hosts[0].answer("quorum", "status")
}
