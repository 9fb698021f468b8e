package pidfd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func FuzzStat(f *testing.F) {
	raw, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("1 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"))
	f.Add([]byte(""))
	f.Fuzz(func(_ *testing.T, stat []byte) {
		if after, err := afterName(stat); err == nil {
			_, _ = startTime(after)
		}
	})
}

func TestStat(t *testing.T) {
	after, err := afterName([]byte("7 (a) b (c) S " + "4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := startTime(after); err != nil || got != 4711 {
		t.Errorf("start time %d, %v", got, err)
	}
	if parent, err := Parent(os.Getpid()); err != nil || parent != os.Getppid() {
		t.Errorf("parent %d, %v, want %d", parent, err, os.Getppid())
	}
}

// TestHeld: the end of a held process is seen, an impatient wait ends, and a process that is gone cannot be held.
func TestHeld(t *testing.T) {
	c := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := Open(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.Wait(short); !errors.Is(err, context.DeadlineExceeded) || p.Ended() {
		t.Errorf("a process that runs: %v, ended %t", err, p.Ended())
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context()); err != nil || !p.Ended() {
		t.Errorf("a process that was killed: %v, ended %t", err, p.Ended())
	}
	_ = c.Wait() // it was killed
	if _, err := Open(c.Process.Pid); !errors.Is(err, unix.ESRCH) {
		t.Errorf("holding a process that is gone: %v", err)
	}
}
