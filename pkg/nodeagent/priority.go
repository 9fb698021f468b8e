package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
)

const (
	// favour is the nice value of the agent's threads: a host that is short of CPU must not look like a dead one. Real-time priority was
	// tried and taken back: the runtime makes threads that have it not, and a process is as late as the slowest of its threads, which
	// then waits behind the real-time threads of all others.
	favour = -20
	// favourInterval is how soon a new thread of the process is favoured too.
	favourInterval = 5 * time.Second
	// spared is the agent's score for the kernel's out-of-memory killer: it is killed after everything that can be restarted.
	// Processes that are started for resources get the ordinary score back.
	spared = -900
	// collectAt is how much garbage, in percent of what is in use, starts a collection. What is in use is small, so memory is saved
	// where it costs little CPU; heartbeats make no garbage at all.
	collectAt = 50
)

// favourProcess keeps the agent's latency: its memory stays in memory, the kernel's out-of-memory killer spares it, and its threads
// are served before ordinary ones. A host that refuses runs the agent all the same; what was refused is told in the Node's status.
func favourProcess(log logr.Logger) *v1alpha1.AgentScheduling {
	debug.SetGCPercent(collectAt)
	s := &v1alpha1.AgentScheduling{Priority: v1alpha1.PriorityNice, MemoryLocked: true}
	var refused []string
	note := func(err error) bool {
		if err != nil {
			refused = append(refused, err.Error())
		}
		return err == nil
	}
	// Pages are locked as they are touched, so that nothing of the runtime's large reservations is brought in.
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		s.MemoryLocked = note(fmt.Errorf("locking the agent's memory: %w", err))
	}
	note(spare(os.Getpid(), spared))
	note(favourOwnSession())
	if !note(favourThreads()) {
		s.Priority = v1alpha1.PriorityOrdinary
	}
	if s.Message = cut(strings.Join(refused, "; "), maxProblemText); s.Message != "" {
		log.Info("The host does not favour the agent in all ways; under load it may be taken for a dead one", "refused", s.Message)
	}
	return s
}

// favourAgent keeps the agent's threads ahead of what else runs on the host until ctx ends: the runtime makes new ones now and then.
// What the agent starts is not favoured: the kernel gives its children back the ordinary priority (reset on fork), and their sessions
// are their own.
func favourAgent(ctx context.Context, priority v1alpha1.AgentPriority, log logr.Logger) {
	if priority == v1alpha1.PriorityOrdinary {
		return
	}
	ticker := time.NewTicker(favourInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := favourThreads(); err != nil {
			log.Info("The agent's new threads run without priority", "reason", err.Error())
			return
		}
	}
}

// favourOwnSession does it for the agent's session if that is its own, as that of a service or of a container's first process is. The
// session of a shell is everything that was started from it: none of that is to get ahead of the rest of the host.
func favourOwnSession() error {
	on, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled")
	if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(string(on)) != "1" {
		return nil // there are no shares of sessions
	}
	if err != nil {
		return fmt.Errorf("looking whether sessions have shares of the CPU: %w", err)
	}
	if session, err := unix.Getsid(0); err != nil || session != os.Getpid() {
		return errors.New("raising the session's share of the CPU: the session is not the agent's own; run it as a service, or with setsid")
	}
	return favourSession("self")
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

// favourThreads favours the threads that are not favoured as much already.
func favourThreads() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("listing the agent's threads: %w", err)
	}
	attributes := unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Flags: unix.SCHED_FLAG_RESET_ON_FORK, Nice: favour,
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			continue
		}
		if now, err := unix.SchedGetAttr(id, 0); err == nil && now.Policy == attributes.Policy && now.Nice == attributes.Nice {
			continue
		}
		if err := unix.SchedSetAttr(id, &attributes, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("raising the priority of the agent's threads: %w", err)
		}
	}
	return nil
}

// spare sets how soon the kernel kills a process when memory runs out.
func spare(pid, score int) error {
	path := filepath.Join("/proc", strconv.Itoa(pid), "oom_score_adj")
	if err := os.WriteFile(path, []byte(strconv.Itoa(score)), 0); err != nil {
		return fmt.Errorf("being spared when memory runs out: %w", err)
	}
	return nil
}
