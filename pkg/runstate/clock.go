package runstate

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BootTime is CLOCK_BOOTTIME: time since boot, in which suspended time counts.
func BootTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Sprintf("reading CLOCK_BOOTTIME: %v", err)) // it exists since Linux 2.6.39
	}
	return time.Duration(t.Nano())
}

// BootID names this boot of the kernel.
func BootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}
