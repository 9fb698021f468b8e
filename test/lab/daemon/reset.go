package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// resetButton is the file through which a host orders its own reset, as through /proc/sysrq-trigger of a machine.
	resetButton = "/run/sysrq-trigger"
	// firmware is how long a reset host takes to boot again.
	firmware = time.Second
)

// button makes the host's reset button, on the machine's side, and returns its path. The real one is not a simulated host's.
func (d *Daemon) button(h *hostState) (string, error) {
	path := filepath.Join(d.layout.Host(h.name), "reset-button")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("make the reset button of %s: %w", h.name, err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		return "", fmt.Errorf("make the reset button of %s: %w", h.name, err)
	}
	return path, nil
}

// watchButton resets the host when it orders that.
func (d *Daemon) watchButton(h *hostState) error {
	path, err := d.button(h)
	if err != nil {
		return err
	}
	// Opened for both, it never ends when the host's writers do.
	button, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("watch the reset button of %s: %w", h.name, err)
	}
	go func() {
		order := make([]byte, 16)
		for {
			n, err := button.Read(order)
			if err != nil {
				fmt.Printf("reset button of %s: %v\n", h.name, err)
				return
			}
			if n > 0 && order[n-1] == 'b' {
				d.reset(h)
			}
		}
	}()
	return nil
}

// reset cuts the host's power and gives it back, as a reset button does.
func (d *Daemon) reset(h *hostState) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	h.mu.Lock()
	h.resets++
	h.mu.Unlock()
	if _, err := d.kill(ctx, h); err != nil {
		fmt.Printf("%s orders a reset: %v\n", h.name, err)
		return
	}
	fmt.Printf("%s resets itself\n", h.name)
	time.Sleep(firmware)
	if err := d.start(ctx, h); err != nil {
		fmt.Printf("%s does not come back from its reset: %v\n", h.name, err)
	}
}
