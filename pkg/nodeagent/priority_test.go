package nodeagent

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// autogroupOf is the session's share of the CPU, as the kernel shows it; the test is skipped where there is none.
func autogroupOf(t *testing.T) string {
	t.Helper()
	share, err := os.ReadFile("/proc/self/autogroup")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel does not divide the CPU between sessions")
	}
	if err != nil {
		t.Fatal(err)
	}
	on, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled")
	if err != nil || strings.TrimSpace(string(on)) != "1" {
		t.Skipf("this host does not divide the CPU between sessions: %q, %v", on, err)
	}
	return string(share)
}

// An agent that is started from a shell leaves the share of that shell, and of all that runs in it, as it is.
func TestSharedSessionIsNotFavoured(t *testing.T) {
	before := autogroupOf(t)
	if err := favourOwnSession(); err == nil || !strings.Contains(err.Error(), "setsid") {
		t.Errorf("error %v: it should tell what to do", err)
	}
	if after := autogroupOf(t); after != before {
		t.Errorf("the shell's session was at %q and is at %q", before, after)
	}
}

// One that leads its own session is favoured.
func TestOwnSessionIsFavoured(t *testing.T) {
	if os.Getenv("QUORATE_TEST_LEADS") != "" {
		if err := favourOwnSession(); err != nil {
			t.Fatal(err)
		}
		if now := autogroupOf(t); !strings.HasSuffix(strings.TrimSpace(now), "nice -20") {
			t.Fatalf("its own session is at %q", now)
		}
		return
	}
	autogroupOf(t)
	if os.Geteuid() != 0 {
		t.Skip("only root may raise a share")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestOwnSessionIsFavoured$")
	cmd.Env = append(os.Environ(), "QUORATE_TEST_LEADS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
