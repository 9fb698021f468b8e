package guest

import (
	"fmt"
	"testing"
)

// Softdog loads the kernel's software watchdog and returns its device. Once opened it resets the guest, and so ends every test in it,
// unless it is fed at least every so many seconds, or disarmed by writing a V before it is closed.
func Softdog(t testing.TB, seconds int) string {
	t.Helper()
	Run(t, "modprobe", "softdog", fmt.Sprintf("soft_margin=%d", seconds))
	takeDown(t, func() error {
		_, err := runAfter("modprobe", "-r", "softdog")
		return err
	})
	return "/dev/watchdog"
}
