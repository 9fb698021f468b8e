package watchdog

import (
	"testing"
	"time"

	"github.com/quorate/quorate/test/vm/guest"
)

// TestGuestDevice: a real driver is armed, fed for longer than its timeout, and disarmed, and the machine is still there.
func TestGuestDevice(t *testing.T) {
	guest.Require(t)
	path := guest.Softdog(t, 60)
	d, err := Open(path, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if d.Timeout() != 5*time.Second || d.Identity() != "Software Watchdog" {
		t.Errorf("%q with a timeout of %s", d.Identity(), d.Timeout())
	}
	if other, err := Open(path, 5*time.Second); err == nil {
		t.Errorf("a device that is held was opened again: %v", other)
	}
	for range 8 {
		time.Sleep(time.Second)
		if err := d.Feed(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SetTimeout(20 * time.Second); err != nil || d.Timeout() != 20*time.Second {
		t.Errorf("another timeout: %s, %v", d.Timeout(), err)
	}
	if err := d.Disarm(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(25 * time.Second) // had it not been disarmed, there would be no end of this test
	again, err := Open(path, 20*time.Second)
	if err != nil {
		t.Fatalf("opening it again: %v", err)
	}
	if err := again.Disarm(); err != nil {
		t.Error(err)
	}
}
