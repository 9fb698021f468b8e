package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
)

const (
	// favour is the nice value of the agent's threads: a host that is short of CPU must not look like a dead one.
	favour = -20
	// favourInterval is how soon a new thread of the process is favoured too.
	favourInterval = 10 * time.Second
)

// favourAgent keeps the agent's threads ahead of what else runs on the host until ctx ends. What the agent starts is not favoured:
// the kernel gives its children back the ordinary priority (reset on fork), and their sessions are their own. A host that refuses
// runs the agent all the same.
func favourAgent(ctx context.Context, log logr.Logger) {
	ticker := time.NewTicker(favourInterval)
	defer ticker.Stop()
	for {
		if err := favourThreads(); err != nil {
			log.V(1).Info("The agent runs without priority", "reason", err.Error())
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// favourSession raises the share of a process's session: where the kernel divides the CPU between sessions (autogroup), the nice
// values of threads count only inside of one.
func favourSession(pid string) error {
	err := os.WriteFile(filepath.Join("/proc", pid, "autogroup"), []byte(strconv.Itoa(favour)), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("raising the session's share of the CPU: %w", err)
	}
	return nil
}

func favourThreads() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("listing the agent's threads: %w", err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			continue
		}
		attributes := unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: favour, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
		}
		if err := unix.SchedSetAttr(id, &attributes, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("raising the priority of the agent's threads: %w", err)
		}
	}
	return nil
}
