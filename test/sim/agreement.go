package sim

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Agreement forms the cluster, cuts the power of a host, and returns how long after its detection all others act in one view without
// it. Detection is when the last promise to the dead host has run out (R1, R4): nobody may go on without it earlier.
func (w *World) Agreement(victim model.NodeID) (time.Duration, error) {
	if err := w.until(10*time.Second, 100*time.Millisecond, func() bool { return w.actWithout(0) }); err != nil {
		return 0, fmt.Errorf("forming: %w", err)
	}
	// A second later all is quiet; then the host dies between two beats.
	if err := w.Run(w.now + time.Second + 100*time.Millisecond); err != nil {
		return 0, err
	}
	w.Host(victim).PowerOff()
	if err := w.Run(w.now + 10*time.Millisecond); err != nil { // what it has sent arrives
		return 0, err
	}
	var detected time.Duration
	for _, h := range w.Hosts {
		if h.id == victim {
			continue
		}
		for _, p := range h.Status().Peers {
			if p.ID == victim {
				// The promise for the last datagram is made with the next beat, so it is not in the status yet.
				detected = max(detected, h.truly(p.LastHeard+w.cfg.Hold()*103/100))
			}
		}
	}
	if err := w.Run(detected); err != nil {
		return 0, err
	}
	if err := w.until(5*time.Second, time.Millisecond, func() bool { return w.actWithout(victim) }); err != nil {
		return 0, fmt.Errorf("agreeing on a view without %d: %w", victim, err)
	}
	return max(0, w.now-detected), nil
}

// until lets time pass in steps: looking at 64 hosts takes longer than what they do.
func (w *World) until(limit, step time.Duration, cond func() bool) error {
	for end := w.now + limit; w.now < end; {
		if err := w.Run(w.now + step); err != nil {
			return err
		}
		if cond() {
			return nil
		}
	}
	return fmt.Errorf("not within %s:\n%s", limit, w.Describe())
}

// actWithout reports whether all hosts but one act in views of exactly themselves.
func (w *World) actWithout(victim model.NodeID) bool {
	want := len(w.Hosts)
	if victim != 0 {
		want--
	}
	for _, h := range w.Hosts {
		if h.id == victim {
			continue
		}
		st := h.Status()
		if !st.Acting || len(st.View.Members) != want || victim != 0 && st.View.Has(victim) {
			return false
		}
	}
	return true
}
