package heartbeat

import "time"

const (
	// flapWait is how long something that has flapped must be well before it is called so; it doubles with each flap up to
	// maxFlapWait.
	flapWait    = time.Second
	maxFlapWait = 64 * time.Second
	// calmAfter is how long something must have been well for its flaps to be forgotten.
	calmAfter = 5 * time.Minute
)

// Hysteresis is the shown state of something that may flap: it goes down at once, and comes up when it has been well for a while,
// which grows as it flaps. So a link that flaps for hours is shown Down, with a few changes in the beginning and then one a minute
// at most, however fast it flaps. The zero value is down and has never flapped.
type Hysteresis struct {
	up        bool
	well      bool
	wellSince time.Duration
	flaps     int
}

// Up is the shown state.
func (h *Hysteresis) Up() bool { return h.up }

// Well notes that it is well at now. least is how long one without flaps must be well to come up.
func (h *Hysteresis) Well(now, least time.Duration) {
	if !h.well {
		h.well, h.wellSince = true, now
	}
	if !h.up && now-h.wellSince >= max(least, h.wait()) {
		h.up = true
	}
}

// Ill notes that it is not well at now.
func (h *Hysteresis) Ill(now time.Duration) {
	if h.up {
		if now-h.wellSince >= calmAfter {
			h.flaps = 0
		}
		h.flaps++
	}
	h.up, h.well = false, false
}

// wait is the time to be well: none after the first failure, then doubling.
func (h *Hysteresis) wait() time.Duration {
	if h.flaps < 2 {
		return 0
	}
	return min(flapWait<<min(h.flaps-2, 16), maxFlapWait)
}
