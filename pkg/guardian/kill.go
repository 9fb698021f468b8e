package guardian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/runstate"
)

// killWait is how long the killed agent may take to be gone. One that is stuck in the kernel runs no more of its own code anyway.
const killWait = 100 * time.Millisecond

// alive reports whether the lease's process runs.
func alive(l runstate.Lease) bool {
	if l.PID <= 0 {
		return false
	}
	started, err := runstate.StartTime(l.PID)
	return err == nil && started == l.StartTime
}

// kill ends the agent that the lease names, and all that descends from it, such as a file-system check: those that are resources are
// stopped next in any case. (Its control group may hold more than the agent, in a pod or a session, and is not the guardian's to kill.)
func kill(ctx context.Context, l runstate.Lease, log logr.Logger) {
	if l.PID <= 0 || l.PID == os.Getpid() {
		return
	}
	fd, err := unix.PidfdOpen(l.PID, 0)
	if err != nil {
		return // it has ended
	}
	defer func() { _ = unix.Close(fd) }()
	// The descriptor is fixed before the start time is compared, so a pid that is used again cannot be hit.
	if !alive(l) {
		return
	}
	children := descendantsOf(l.PID)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		log.Error(err, "killing the agent", "pid", l.PID)
	}
	for _, child := range children {
		if child != os.Getpid() {
			_ = unix.Kill(child, unix.SIGKILL) // it may have ended with the agent
		}
	}
	deadline := time.Now().Add(killWait)
	for ctx.Err() == nil {
		left := time.Until(deadline).Milliseconds()
		if left <= 0 {
			log.Info("the agent was killed and is not gone yet", "pid", l.PID)
			return
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left))
		if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return
		}
	}
}

// descendantsOf lists the children of the process, theirs, and so on.
func descendantsOf(pid int) []int {
	all := childrenOf(pid)
	for i := 0; i < len(all); i++ {
		for _, child := range childrenOf(all[i]) {
			if !slices.Contains(all, child) {
				all = append(all, child)
			}
		}
	}
	return all
}

// childrenOf lists the children of all threads of the process.
func childrenOf(pid int) []int {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	var children []int
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(raw)) {
			if child, err := strconv.Atoi(field); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}
