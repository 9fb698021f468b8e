package watchdog

import "time"

const (
	// minTimeout is the shortest timeout that every device can do: they count whole seconds.
	minTimeout = time.Second
	// maxTimeout bounds how long a hung host stands still before it comes back, and is within the range of every device.
	maxTimeout = 10 * time.Second
)

// Timeout is what the device is asked for: the whole seconds of selfFence.timeout, 1s to 10s. A device may choose a longer one, which
// then counts.
func Timeout(selfFence time.Duration) time.Duration {
	return min(max(selfFence.Truncate(time.Second), minTimeout), maxTimeout)
}

// LastFeed is the latest moment at which the device may be fed while something runs that must stop from begins on and be gone at
// deadline. A host that hangs right after it is reset within Bound after begins.
func LastFeed(begins, deadline, timeout time.Duration) time.Duration {
	return max(begins, deadline-timeout)
}

// Bound is how long after the begin of the stop a host may at worst go on that is watched by a device of the timeout: what other nodes
// wait for before they take its word, SelfFenceDeadline, for proof.
func Bound(selfFence, timeout time.Duration) time.Duration { return max(selfFence, timeout) }
