package nodeagent

import (
	"testing"
	"time"
)

// TestEcho: a write that the cache never shows is made again, once for each version that is shown instead.
func TestEcho(t *testing.T) {
	var e echo
	begin := time.Unix(1000, 0)
	e.wrote(begin)
	for _, step := range []struct {
		after   time.Duration
		version string
		wait    time.Duration
		lost    bool
	}{
		{0, "7", echoPatience, false},
		{echoPatience - time.Second, "7", time.Second, false},
		{echoPatience, "7", 0, true},
		{echoPatience + time.Second, "7", 0, false},
		{echoPatience + 2*time.Second, "8", 0, true},
	} {
		if wait, lost := e.missing(step.version, begin.Add(step.after)); wait != step.wait || lost != step.lost {
			t.Errorf("after %v at version %s: wait %v, lost %v, want %v, %v", step.after, step.version, wait, lost, step.wait, step.lost)
		}
	}
}
