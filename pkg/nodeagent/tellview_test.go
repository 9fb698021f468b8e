package nodeagent

import (
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/runstate"
)

// TestWaitCountsFromActing: a view may be installed long before this node acts in it, and until then a node that it lacks may have its
// quorum: the wait for that node's deadline counts from when this one first acts (O4). The simulation's scenario early_view shows what
// comes of the other.
func TestWaitCountsFromActing(t *testing.T) {
	b := newBench(t)
	b.keeper.begun = 3
	installed := runstate.BootTime()
	stand := func(acting bool) {
		self := model.Member{ID: 1, Generation: 3}
		b.keeper.core.current.Store(&standing{Settings: b.keeper.enrolment.current(), Status: membership.Status{
			Self: self, Acting: acting, Keeping: acting, ViewSince: installed,
			View: &membership.View{ID: model.ViewID{Number: 9, Coordinator: 1}, Members: []model.Member{self}},
		}})
	}
	stand(false)
	b.keeper.tellView(t.Context())
	if len(b.monitor.views) != 0 {
		t.Fatalf("the monitor was told of a view in which this node does not act: %+v", b.monitor.views)
	}
	time.Sleep(20 * time.Millisecond)
	acts := runstate.BootTime()
	stand(true)
	b.keeper.tellView(t.Context())
	b.keeper.tellView(t.Context())
	if len(b.monitor.views) != 1 {
		t.Fatalf("the monitor was told %+v, want the view once", b.monitor.views)
	}
	if at := b.monitor.views[0].At; at < acts {
		t.Errorf("the wait counts from %v, %v before this node acted", at, acts-at)
	}
}
