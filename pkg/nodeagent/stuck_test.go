package nodeagent

import (
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// TestStuckWatch: a stop that is overdue has the host reset, once; before, the problem says when.
func TestStuckWatch(t *testing.T) {
	calls := make(chan []monitor.Leftover, 4)
	w := &stuckWatch{
		problems: newProblems(func() {}), reset: func(left []monitor.Leftover) { calls <- left }, resets: true, wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	says := func(want ...string) {
		t.Helper()
		list := w.problems.list()
		if len(want) == 0 != (len(list) == 0) {
			t.Fatalf("problems %+v", list)
		}
		for _, text := range want {
			if list[0].Reason != problemLeftover || !strings.Contains(list[0].Message, text) {
				t.Errorf("problem %+v, want %q", list[0], text)
			}
		}
	}
	r := &monitor.GroupReport{Group: resourcetype.Identity{UID: "u", Namespace: "x", Name: "app"}}
	w.observe(r)
	says()
	r.Stuck, r.FenceAt = []string{"disk: busy"}, time.Hour
	w.observe(r)
	says("disk: busy", "if it is still there at 2026-01-01T01:00:00Z: this host is reset")
	r.FenceAt, r.Overdue = 0, []lifecycle.Overdue{{Resource: "disk", Message: "it was withdrawn from this node, and it cannot be stopped: busy"}}
	w.observe(r)
	w.observe(r)
	says("it was withdrawn", "this host is reset")
	if left := <-calls; len(left) != 1 || left[0].Resource.String() != "x/disk" {
		t.Errorf("reset for %+v", left)
	}
	r.Overdue, r.Stuck = nil, nil
	w.observe(r)
	says()
	w.resets = false
	r.Overdue = []lifecycle.Overdue{{Resource: "disk", Message: "busy"}}
	w.observe(r)
	says("this host does not reset itself (--sysrq-trigger)")
	if left := <-calls; len(left) != 1 || len(calls) != 0 {
		t.Errorf("reset for %+v, and %d times more", left, len(calls))
	}
}
