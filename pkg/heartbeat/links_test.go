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

func TestLinkReplay(t *testing.T) {
	l := &link{}
	for _, step := range []struct {
		incarnation, sequence uint64
		fresh                 bool
	}{
		{2, 5, true}, {2, 5, false}, {2, 4, false}, {2, 7, true}, {1, 100, false}, {3, 1, true}, {2, 8, false},
	} {
		if got := l.fresh(step.incarnation, step.sequence); got != step.fresh {
			t.Errorf("incarnation %d, sequence %d: fresh is %v, want %v", step.incarnation, step.sequence, got, step.fresh)
		}
		if step.fresh {
			l.hear(step.incarnation, step.sequence, 0, time.Second)
		}
	}
}
