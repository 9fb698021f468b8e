package guardian

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
)

// spareThreads is how many threads the guardian makes ahead: on a host that is full of processes it could not make them any more.
const spareThreads = 12

// prefer makes the guardian fit to act on a host that is at its end: its memory is locked, its threads exist, the kernel kills others
// first and runs it before what has no real-time priority. A host that refuses is watched all the same.
func prefer(log logr.Logger) {
	prepareThreads()
	err := errors.Join(
		os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0),
		lockMemory(),
		unix.Setpriority(unix.PRIO_PROCESS, 0, -20),
		preferThreads(),
	)
	if err != nil {
		log.Info("the guardian does not have all the priority that it asks for", "reason", err.Error())
	}
}

// lockMemory keeps the guardian from waiting for a disk, which may be the very thing that hangs: the program is read in whole now, and
// what else it touches stays. Memory that the runtime only reserves is not filled.
func lockMemory() error {
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("locking the guardian's memory: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("looking at the guardian's memory: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		var start, end uintptr
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") {
			continue
		}
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &start, &end); err != nil {
			return fmt.Errorf("looking at the guardian's memory: %q: %w", line, err)
		}
		if _, _, errno := unix.Syscall(unix.SYS_MLOCK, start, end-start, 0); errno != 0 {
			return fmt.Errorf("reading the guardian's program into memory: %w", errno)
		}
	}
	return nil
}

// prepareThreads has the runtime make threads, which it keeps.
func prepareThreads() {
	var started, done sync.WaitGroup
	release := make(chan struct{})
	for range spareThreads {
		started.Add(1)
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			started.Done()
			<-release
		})
	}
	started.Wait()
	close(release)
	done.Wait()
}

// preferThreads gives every thread the lowest real-time priority, which is above all that has none; threads made later inherit it. The
// guardian starts no other programs that could.
func preferThreads() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("listing the guardian's threads: %w", err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			continue
		}
		attributes := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
		if err := unix.SchedSetAttr(id, &attributes, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("giving the guardian real-time priority: %w", err)
		}
	}
	return nil
}
