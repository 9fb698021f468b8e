package watchdog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBound: whatever the timeouts, a host that is fed for the last time at LastFeed is reset within Bound, and one that stops in time
// is not reset before its deadline.
func TestBound(t *testing.T) {
	const begins = 100 * time.Second
	for _, selfFence := range []time.Duration{100 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Minute} {
		for _, timeout := range []time.Duration{Timeout(selfFence), time.Second, 4 * time.Second, time.Minute} {
			deadline := begins + selfFence
			reset := LastFeed(begins, deadline, timeout) + timeout
			if reset > begins+Bound(selfFence, timeout) {
				t.Errorf("selfFence %s, timeout %s: reset %s after the stop began, later than %s", selfFence, timeout, reset-begins, Bound(selfFence, timeout))
			}
			if reset < deadline {
				t.Errorf("selfFence %s, timeout %s: reset %s before the deadline", selfFence, timeout, deadline-reset)
			}
		}
	}
}

func TestTimeout(t *testing.T) {
	for selfFence, want := range map[time.Duration]time.Duration{
		0: time.Second, 300 * time.Millisecond: time.Second, time.Second: time.Second, 2900 * time.Millisecond: 2 * time.Second,
		5 * time.Minute: 10 * time.Second,
	} {
		if got := Timeout(selfFence); got != want {
			t.Errorf("for %s it is %s, not %s", selfFence, got, want)
		}
	}
}

// TestOpenTouchesNothingElse: a path that is no watchdog is refused with what to do, and is as it was.
func TestOpenTouchesNothingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file: "not a character device", "/dev/null": "does not answer as a watchdog", filepath.Join(t.TempDir(), "none"): "load its driver",
	} {
		d, err := Open(path, time.Second)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", path, d, err)
		}
	}
	if raw, err := os.ReadFile(file); string(raw) != "precious" || err != nil {
		t.Errorf("the file is %q, %v", raw, err)
	}
}

func TestReset(t *testing.T) {
	trigger := filepath.Join(t.TempDir(), "trigger")
	if err := os.WriteFile(trigger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Host{Trigger: trigger}).Reset("a test of simulated hosts"); err != nil {
		t.Error(err)
	}
	if raw, err := os.ReadFile(trigger); string(raw) != "b" || err != nil {
		t.Errorf("the trigger was told %q, %v", raw, err)
	}
	if err := (Host{}).Reset("nothing"); !errors.Is(err, ErrNoTrigger) {
		t.Errorf("without a trigger: %v", err)
	}
	if err := (Host{Trigger: filepath.Join(t.TempDir(), "no", "trigger")}).Reset("nothing"); err == nil {
		t.Error("a trigger that cannot be opened is no error")
	}
}
