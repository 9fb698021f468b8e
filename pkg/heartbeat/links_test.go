package heartbeat

import (
	"testing"
	"time"
)

// TestLinkHysteresis: a link is Down after one silence, and Up only after several datagrams without one.
func TestLinkHysteresis(t *testing.T) {
	const silence = time.Second
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for name, tc := range map[string]struct {
		heard []int
		at    int
		up    bool
	}{
		"never heard":                  {nil, 100, false},
		"heard once":                   {[]int{100}, 200, false},
		"heard four times":             {[]int{100, 350, 600, 850}, 900, true},
		"silent for less than T":       {[]int{100, 350, 600, 850}, 1850, true},
		"silent for longer":            {[]int{100, 350, 600, 850}, 1851, false},
		"back once after a silence":    {[]int{100, 350, 600, 850, 3000}, 3001, false},
		"back for good":                {[]int{100, 350, 600, 850, 3000, 3250, 3500, 3750}, 3751, true},
		"flapping is never up":         {[]int{100, 350, 600, 1700, 1950, 2200, 3300, 3550}, 3600, false},
		"one lost datagram is nothing": {[]int{100, 350, 600, 850, 1350}, 1400, true},
	} {
		t.Run(name, func(t *testing.T) {
			ls := links{}
			l := ls.get(1, "hb")
			for i, at := range tc.heard {
				l.hear(1, uint64(i+1), ms(at), silence)
			}
			if got := ls.list(ms(tc.at), silence); got[0].Up != tc.up {
				t.Errorf("up is %v, want %v", got[0].Up, tc.up)
			}
		})
	}
}

// TestLinkFlapping: a link that is cut and mended every few seconds for an hour is shown Down, with few changes; one that then stays
// well is Up again within a minute or so, and after calm times a single failure is forgiven at once.
func TestLinkFlapping(t *testing.T) {
	const beat, silence = 250 * time.Millisecond, time.Second
	ls := links{}
	l := ls.get(1, "hb")
	now, sequence, changes, up := time.Duration(0), uint64(0), 0, false
	pass := func(d time.Duration, heard bool) (upAfter time.Duration) {
		begin := now
		for end := now + d; now < end; now += beat {
			if sequence++; heard {
				l.hear(1, sequence, now, silence)
			}
			if state := ls.list(now, silence)[0].Up; state != up {
				up = state
				changes++
				if up && upAfter == 0 {
					upAfter = now - begin
				}
			}
		}
		return upAfter
	}
	for range 600 {
		pass(3*time.Second, true)
		pass(3*time.Second, false)
	}
	if changes > 10 {
		t.Errorf("%d changes of state in an hour of flapping, want a handful in the beginning", changes)
	}
	if took := pass(10*time.Minute, true); took == 0 || took > maxFlapWait+time.Second {
		t.Errorf("well for good, but Up only after %s", took)
	}
	pass(3*time.Second, false)
	if took := pass(10*time.Second, true); took != (upAfter-1)*beat {
		t.Errorf("Up %s after a single failure in calm times, want the time of %d datagrams", took, upAfter)
	}
}

func TestWindow(t *testing.T) {
	var w window
	var lost uint64
	for i, step := range []struct {
		incarnation, sequence uint64
		want                  verdict
		lost                  uint64
	}{
		{2, 500, fresh, 0}, {2, 500, repeated, 0}, {2, 499, repeated, 0}, // what was before the first is not missed
		{2, 503, fresh, 0}, {2, 502, late, 0}, {2, 502, repeated, 0}, {2, 564, fresh, 0}, // 501 is still awaited
		{2, 565, fresh, 1}, {2, 501, repeated, 1}, // and has left the window
		{1, 900, repeated, 1}, {2, 666, fresh, 98},
		{3, 1, fresh, 98}, {2, 700, repeated, 98}, {3, 2, fresh, 98},
	} {
		if got := w.judge(step.incarnation, step.sequence); got != step.want {
			t.Errorf("step %d, incarnation %d, sequence %d: %v, want %v", i, step.incarnation, step.sequence, got, step.want)
		} else if got != repeated {
			lost += w.take(step.incarnation, step.sequence)
		}
		if lost != step.lost {
			t.Errorf("step %d: %d lost, want %d", i, lost, step.lost)
		}
	}
}

// TestRoundTrip: the smoothed round trip follows what is measured, and the jitter tells how steady it is.
func TestRoundTrip(t *testing.T) {
	var l link
	for i := range 200 {
		l.measure(time.Millisecond + time.Duration(i%2)*200*time.Microsecond)
	}
	if l.RoundTrip < 1050*time.Microsecond || l.RoundTrip > 1150*time.Microsecond {
		t.Errorf("round trip %s of 1 to 1.2 ms", l.RoundTrip)
	}
	if l.Jitter < 50*time.Microsecond || l.Jitter > 200*time.Microsecond {
		t.Errorf("jitter %s of 0.1 ms", l.Jitter)
	}
	before := l.RoundTrip
	if l.measure(-time.Millisecond); l.RoundTrip != before {
		t.Error("an echo from the future was counted")
	}
}
