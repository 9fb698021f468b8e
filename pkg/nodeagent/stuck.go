package nodeagent

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// stuckWatch looks at the groups' reports for resources that do not stop although they were withdrawn, or their disk's reservation is lost:
// it tells when the host is to be reset for them, and has it reset then (rules O10, O17).
type stuckWatch struct {
	problems *problems
	// reset is called once for what has not stopped by its bound. It may take as long as it wants.
	reset func([]monitor.Leftover)
	// resets says that the host may reset itself.
	resets bool
	wall   time.Time

	mu sync.Mutex
	// told are the problems, ordered says that the reset was called for, by group uid.
	told    map[string][]v1alpha1.AgentProblem
	ordered map[string]bool
}

// observe takes each report of a group. It neither blocks nor calls the monitor.
func (w *stuckWatch) observe(r *monitor.GroupReport) {
	list, left := w.judge(r)
	w.mu.Lock()
	if w.told == nil {
		w.told, w.ordered = map[string][]v1alpha1.AgentProblem{}, map[string]bool{}
	}
	order := len(left) > 0 && !w.ordered[r.Group.UID]
	w.ordered[r.Group.UID], w.told[r.Group.UID] = len(left) > 0, list
	if len(list) == 0 {
		delete(w.ordered, r.Group.UID)
		delete(w.told, r.Group.UID)
	}
	all := make([]v1alpha1.AgentProblem, 0, len(w.told))
	for _, uid := range slices.Sorted(maps.Keys(w.told)) {
		all = append(all, w.told[uid]...)
	}
	w.problems.set("stuck", all)
	w.mu.Unlock()
	if order {
		go w.reset(left)
	}
}

// judge makes a group's problems, and what has the host reset now.
func (w *stuckWatch) judge(r *monitor.GroupReport) ([]v1alpha1.AgentProblem, []monitor.Leftover) {
	then := "this host does not reset itself (--sysrq-trigger), and the group waits: end what uses it, or reset the host"
	if w.resets {
		then = "this host is reset"
	}
	var list []v1alpha1.AgentProblem
	var left []monitor.Leftover
	for _, o := range r.Overdue {
		left = append(left, monitor.Leftover{
			Group: r.Group, Resource: resourcetype.Identity{Namespace: r.Group.Namespace, Name: o.Resource}, Type: "resource", Message: o.Message,
		})
		list = append(list, v1alpha1.AgentProblem{
			Reason: problemLeftover, Object: r.Group.Namespace + "/" + o.Resource, Message: o.Message + "; " + then,
		})
	}
	if r.FenceAt > 0 {
		when := w.wall.Add(r.FenceAt).UTC().Format(time.RFC3339)
		for _, name := range r.Stuck {
			list = append(list, v1alpha1.AgentProblem{
				Reason: problemLeftover, Object: r.Group.String(),
				Message: fmt.Sprintf("%s; if it is still there at %s: %s", name, when, then),
			})
		}
	}
	return list, left
}
