package runstate

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// StartTime is when the process was started, in clock ticks since boot (field 22 of /proc/PID/stat): together with the pid it names
// a process for good, since pids are used again.
func StartTime(pid int) (uint64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the start time of process %d: %w", pid, err)
	}
	// The second field is the name in parentheses, which may contain anything.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const startTime = 22 - 3
	if len(fields) <= startTime {
		return 0, fmt.Errorf("reading the start time of process %d: %d fields", pid, len(fields))
	}
	ticks, err := strconv.ParseUint(fields[startTime], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the start time of process %d: %w", pid, err)
	}
	return ticks, nil
}
