package watchdog

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// SysRq is where the kernel takes orders that work when hardly anything else does.
const SysRq = "/proc/sysrq-trigger"

// Resetter restarts this host at once, as its reset button does: nothing is stopped, nothing is written back.
type Resetter interface {
	// Reset returns only when the host goes on all the same.
	Reset(reason string) error
}

// Host resets the machine that it runs on.
type Host struct {
	// Trigger is SysRq. Another file takes the order instead on simulated hosts, and then reboot(2) is not called. Without one
	// nothing is reset.
	Trigger string
}

// ErrNoTrigger says that this host was told not to reset itself.
var ErrNoTrigger = errors.New("this host does not reset itself: the agent was started with an empty --sysrq-trigger")

// takeEffect is how long a reset may take before the next way is tried.
const takeEffect = time.Second

// Reset implements Resetter: by the magic SysRq key, which asks nobody, and by reboot(2) where the kernel has none.
func (h Host) Reset(reason string) error {
	if h.Trigger == "" {
		return ErrNoTrigger
	}
	say(reason)
	err := order(h.Trigger)
	if err == nil {
		time.Sleep(takeEffect)
	}
	if h.Trigger != SysRq {
		return err
	}
	return errors.Join(err, reboot())
}

func order(trigger string) error {
	fd, err := unix.Open(trigger, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("resetting the host through %s: %w", trigger, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := unix.Write(fd, []byte("b")); err != nil {
		return fmt.Errorf("resetting the host through %s: %w", trigger, err)
	}
	return nil
}

func reboot() error {
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		return fmt.Errorf("restarting the host: %w", err)
	}
	return nil
}

// say leaves the reason in the kernel's log, which a serial console or pstore may keep. Nobody waits for it.
func say(reason string) {
	if f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
		_, _ = fmt.Fprintf(f, "<0>quorate: resetting this host: %s\n", reason)
		_ = f.Close()
	}
}
