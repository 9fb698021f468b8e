package monitor

import (
	"encoding/json"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// hangGrace is how long a call that was given up may take to return before its resource gets a process of its own.
const hangGrace = 2 * time.Second

// typeOf is the code of the resource: in this process, or in one of its own if the spec with which it was started says so, or since a call of it
// hung here. A disk stays here: the reservation is the agent's own, and what hangs in the kernel hangs in any process. What works in the agent's background stays, too. The group is locked.
func (g *group) typeOf(r *resource) (resourcetype.Type, error) {
	t, err := g.monitor.opts.Types.Get(r.record.Type)
	hosts := g.monitor.opts.Hosts
	if err != nil || hosts == nil {
		return t, err
	}
	_, disk := t.(resourcetype.Reserver)
	if _, resident := t.(resourcetype.Resident); disk || resident || !r.apart && !separate(r.record.Spec) {
		return t, nil
	}
	return hosts.Type(t, r.record.Resource.UID), nil
}

// separate reads spec.separateMonitor; a spec that cannot be read fails elsewhere.
func separate(spec json.RawMessage) bool {
	var s struct {
		SeparateMonitor bool `json:"separateMonitor"`
	}
	return json.Unmarshal(spec, &s) == nil && s.SeparateMonitor
}

// abandon finds out whether an op that was given up still runs.
func (g *group) abandon(a lifecycle.Action) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cancels[a.Serial] != nil {
		g.setApart(a.UID)
	}
}

// setApart has the next calls of a resource run in a process of its own: one that has hung may hang again, and each time something is left behind
// in this process. The group is locked.
func (g *group) setApart(uid string) {
	r := g.resources[uid]
	if r == nil || r.apart || g.monitor.opts.Hosts == nil {
		return
	}
	r.apart = true
	g.monitor.opts.Log.Info("a call of the resource hangs: the next ones run in a process of its own", "group", g.id.String(), "resource", g.name(uid))
}
