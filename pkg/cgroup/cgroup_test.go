package cgroup_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
)

// start runs a shell script inside the control group.
func start(t *testing.T, c *cgroup.Cgroup, script string) *exec.Cmd {
	t.Helper()
	dir, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	return cmd
}

func waitProcesses(t *testing.T, c *cgroup.Cgroup, want int) {
	t.Helper()
	for range 500 {
		pids, err := c.Processes()
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) >= want {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	pids, _ := c.Processes()
	t.Fatalf("the cgroup never had %d processes, only %v", want, pids)
}

// TestKillTree kills a tree of processes, of which some have left their parent and their session, and ignore signals.
func TestKillTree(t *testing.T) {
	c := cgroup.At(filepath.Join(cgrouptest.Root(t), "tree"))
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	cmd := start(t, c, `trap "" TERM; (setsid sleep 1000 &) ; (sh -c 'trap "" TERM INT; sleep 1000 & wait') & sleep 1000 & wait`)
	waitProcesses(t, c, 5)
	if has, err := c.Has(cmd.Process.Pid); err != nil || !has {
		t.Errorf("Has(first process) = %v, %v", has, err)
	}
	if err := c.Remove(); err == nil {
		t.Error("a cgroup with processes was removed")
	}
	begin := time.Now()
	if err := c.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("killed in %v", time.Since(begin))
	if _, err := os.Stat(c.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cgroup is still there: %v", err)
	}
	if err := c.Kill(t.Context()); err != nil {
		t.Errorf("killing again: %v", err)
	}
}

// TestFrozen: a stopped process is killed as well.
func TestFrozen(t *testing.T) {
	c := cgroup.At(filepath.Join(cgrouptest.Root(t), "frozen"))
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	start(t, c, "kill -STOP $$")
	waitProcesses(t, c, 1)
	if err := c.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestWaitEmpty sees the last process end by itself, and gives up with its id at the end of the context.
func TestWaitEmpty(t *testing.T) {
	c := cgroup.At(filepath.Join(cgrouptest.Root(t), "wait"))
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	start(t, c, "sleep 0.2 & exit")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.WaitEmpty(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitEmpty() = %v, want the deadline", err)
	}
	if err := c.WaitEmpty(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := c.Populated(); err != nil || p {
		t.Errorf("Populated() = %v, %v", p, err)
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
}

// TestNested removes control groups that the processes have made themselves.
func TestNested(t *testing.T) {
	c := cgroup.At(filepath.Join(cgrouptest.Root(t), "nested"))
	if err := cgroup.At(c.Path() + "/a/b").Create(); err != nil {
		t.Fatal(err)
	}
	start(t, cgroup.At(c.Path()+"/a/b"), "exec sleep 1000")
	waitProcesses(t, c, 1)
	if err := c.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cgroup is still there: %v", err)
	}
}

// TestForkBomb: what forks faster than it can be listed is killed all the same, by the kernel in one go or frozen first.
func TestForkBomb(t *testing.T) {
	for name, kill := range map[string]func(*cgroup.Cgroup, context.Context) error{
		"at once": (*cgroup.Cgroup).Kill, "frozen": cgroup.KillFrozen,
	} {
		t.Run(name, func(t *testing.T) {
			c := cgroup.At(filepath.Join(cgrouptest.Root(t), "bomb"))
			if err := c.Create(); err != nil {
				t.Fatal(err)
			}
			// Each process starts the next and ends at once: whoever kills them one by one is always late.
			rabbit := filepath.Join(t.TempDir(), "rabbit")
			if err := os.WriteFile(rabbit, []byte(`sh "$0" & exit`), 0o600); err != nil {
				t.Fatal(err)
			}
			start(t, c, `for i in 1 2 3 4 5 6 7 8; do sh `+rabbit+` & done; sleep 1000`)
			waitProcesses(t, c, 4)
			time.Sleep(50 * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := kill(c, ctx); err != nil {
				t.Fatal(err)
			}
			if populated, err := c.Populated(); populated || err != nil {
				pids, _ := c.Processes()
				t.Errorf("processes %v live: %v", pids, err)
			}
		})
	}
}

// TestLimitProcesses: where the kernel offers the controller, the limit is in force.
func TestLimitProcesses(t *testing.T) {
	c := cgroup.At(filepath.Join(cgrouptest.Root(t), "limited"))
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	limited, err := c.LimitProcesses(77)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(c.Path(), "pids.max"))
	if limited != (err == nil) || (limited && string(raw) != "77\n") {
		t.Errorf("limited = %v, but pids.max is %q, %v", limited, raw, err)
	}
	if n, err := cgroup.ProcessShare(15); n < 100 || err != nil {
		t.Errorf("15%% of the host's processes are %d, %v", n, err)
	}
}

func TestCheck(t *testing.T) {
	if err := cgroup.Check(filepath.Join(cgrouptest.Root(t), "not", "yet")); err != nil {
		t.Error(err)
	}
	if err := cgroup.Check(t.TempDir()); err == nil {
		t.Error("a plain directory passes as a cgroup")
	}
}

// TestMount finds the top of the hierarchy, also from a control group that is not there yet.
func TestMount(t *testing.T) {
	root := cgrouptest.Root(t)
	want := filepath.Dir(root)
	for _, path := range []string{want, root, filepath.Join(root, "a", "b")} {
		if got, err := cgroup.Mount(path); err != nil || got != want {
			t.Errorf("Mount(%s) = %s, %v; want %s", path, got, err, want)
		}
	}
	if got, err := cgroup.Mount(t.TempDir()); err == nil {
		t.Errorf("a place without control groups has them mounted on %s", got)
	}
}

// TestKillProcesses leaves the control group to whoever has made it.
func TestKillProcesses(t *testing.T) {
	c := cgroup.At(filepath.Join(cgrouptest.Root(t), "kept"))
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	start(t, c, `sleep 1000 & sleep 1000 & wait`)
	waitProcesses(t, c, 3)
	if err := c.KillProcesses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if populated, err := c.Populated(); populated || err != nil {
		t.Errorf("Populated() = %v, %v", populated, err)
	}
	if _, err := os.Stat(c.Path()); err != nil {
		t.Errorf("the control group is gone: %v", err)
	}
	if err := cgroup.At(filepath.Join(c.Path(), "none")).KillProcesses(t.Context()); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
}
