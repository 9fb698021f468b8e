package polictest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// RandomCluster returns the commands that build a random cluster of 2 to 5 nodes and 1 to 6 groups.
func RandomCluster(rng *rand.Rand) []string {
	names := []string{"a", "b", "c", "d", "e"}[:2+rng.IntN(4)]
	var lines []string
	if rng.IntN(4) == 0 {
		lines = append(lines, "cluster anti-affinity=required")
	}
	if rng.IntN(2) == 0 {
		lines = append(lines, "cluster preempt=yes")
	}
	racks := rng.IntN(3) == 0
	for _, n := range names {
		line := "node " + n
		if rng.IntN(5) == 0 {
			line += " role=standby"
		}
		if rng.IntN(3) > 0 {
			line += fmt.Sprintf(" capacity=(cpu:%d,memory:%d)", 1+rng.IntN(4), 2+rng.IntN(4))
		}
		if rng.IntN(6) == 0 {
			line += " reserved=(cpu:1)"
		}
		if racks && rng.IntN(5) > 0 {
			line += " domain=" + pick(rng, "rack1", "rack2")
		}
		if rng.IntN(4) == 0 {
			line += " force-drain=yes"
		}
		if rng.IntN(3) == 0 {
			line += " on-resume=" + pick(rng, "none", "immediate", "policy")
		}
		lines = append(lines, line)
	}
	for i := range 1 + rng.IntN(6) {
		lines = append(lines, fmt.Sprintf("group g%d%s", i, randomSettings(rng, names, i)))
	}
	return lines
}

func randomSettings(rng *rand.Rand, names []string, i int) string {
	var b strings.Builder
	add := func(chance int, setting string) {
		if rng.IntN(chance) == 0 {
			b.WriteString(" " + setting)
		}
	}
	add(2, "preferred="+someOf(rng, names))
	add(5, "possible="+someOf(rng, names))
	add(3, "class="+someOf(rng, []string{"sql", "web"}))
	add(2, fmt.Sprintf("requests=(cpu:%d,memory:%d)", 1+rng.IntN(3), rng.IntN(3)))
	add(3, "failback="+pick(rng, "immediate", "window"))
	add(3, "window="+pick(rng, "22:00-04:00", "01:00-02:00", "03:00-"))
	add(4, "delay=10m")
	add(2, "priority="+pick(rng, "0", "1000", "1000", "3000", "3000"))
	add(4, "threshold=1")
	add(4, "images="+someOf(rng, []string{"box", "crate"}))
	add(8, "retry=0s")
	add(8, "resources=0")
	add(5, "mode=balanced")
	if i > 0 {
		add(4, fmt.Sprintf("depends=(g%d)", rng.IntN(i)))
	}
	return b.String()
}

// RandomEvent returns the command for something that may happen to the world now.
func RandomEvent(w *World, rng *rand.Rand) string {
	h := w.hosts[rng.IntN(len(w.hosts))]
	if len(w.groups) == 0 || rng.IntN(2) == 0 {
		return hostEvent(h, rng)
	}
	return groupEvent(w, w.groups[rng.IntN(len(w.groups))], h, rng)
}

func hostEvent(h *host, rng *rand.Rand) string {
	switch rng.IntN(11) {
	case 0, 1:
		if h.up {
			return "kill " + h.Name
		}
		return "start " + h.Name
	case 2:
		return "reboot " + h.Name
	case 3:
		return pick(rng, "hang ", "unhang ") + h.Name
	case 4:
		return pick(rng, "disconnect ", "connect ") + h.Name
	case 5, 6:
		if rng.IntN(6) == 0 {
			return "set " + h.Name + " force-drain=" + pick(rng, "yes", "no")
		}
		return pick(rng, "drain ", "pause ", "resume ", "resume ") + h.Name
	case 7:
		return "set " + h.Name + " quarantined=" + pick(rng, "yes", "no", "no")
	case 8:
		return "set " + h.Name + " " + pick(rng, "lacks=", "awaits=") + pick(rng, "(box)", "(box,crate)", "()", "()")
	case 9:
		return "proof " + pick(rng, "held", "free")
	}
	return "tick " + pick(rng, "1s", "1m", "1h", "12h")
}

func groupEvent(w *World, g *group, h *host, rng *rand.Rand) string {
	n := g.Key.Name
	switch rng.IntN(8) {
	case 0, 1:
		if line := failure(w, g, h); line != "" {
			return line
		}
	case 2, 3:
		return "move " + n + " " + pick(rng, "best", h.Name)
	case 4:
		return "set " + n + " desired=" + pick(rng, "online", "online", "offline")
	case 5:
		if rng.IntN(6) == 0 {
			return "delete " + n
		}
	case 6:
		if e := int(knownTo(w, g)); e > 0 && e < 1000 {
			return fmt.Sprintf("report %s %s floor=%d", n, h.Name, e+rng.IntN(3))
		}
	case 7:
		if len(g.history) > 0 && (g.Assignment.Node != "" || len(g.Members) > 0) && rng.IntN(3) == 0 {
			return fmt.Sprintf("restore %s %d", n, g.history[rng.IntN(len(g.history))].Epoch)
		}
	}
	return "tick 1m"
}

// failure is the command for a resource that fails where the group runs, on the host if that is one of many; "" when it runs nowhere.
func failure(w *World, g *group, h *host) string {
	runners := w.Runners(g)
	switch {
	case g.Mode == model.ModeLoadBalanced && slices.Contains(runners, h.Name):
		return "fail " + g.Key.Name + " app " + h.Name
	case g.Assignment.Node != "" && slices.Contains(runners, g.Assignment.Node):
		return "fail " + g.Key.Name + " app"
	}
	return ""
}

func knownTo(w *World, g *group) model.Epoch {
	e := g.Assignment.Epoch
	for _, h := range w.hosts {
		if l := h.mine[g.UID]; l != nil {
			e = max(e, l.Running, l.Floor)
		}
	}
	return e
}

// Calm ends every trouble: all hosts are up, connected and willing, all groups wanted.
func (w *World) Calm() {
	w.quorate, w.restored, w.holdProof = true, false, false
	w.Cluster.Maintenance = false
	for _, h := range w.hosts {
		if !h.up {
			w.begin(h)
		}
		h.hung, h.Connected, h.Quarantined, h.Maintenance, h.Availability = false, true, false, false, model.Available
	}
	for _, g := range w.groups {
		g.DesiredOnline = true
		for _, h := range w.hosts {
			if l := h.mine[g.UID]; l != nil {
				l.Failing = ""
			}
		}
	}
	w.newView()
	w.Now = w.Now.Add(24 * time.Hour)
}

// Idle returns the groups that are wanted and not served although nothing that policy may decide about keeps them.
func (w *World) Idle(waiting func(model.GroupKey) model.Reason) []string {
	var idle []string
	for _, g := range w.groups {
		if g.Deleting || g.ResourceCount == 0 || w.state(g) == model.GroupOnline {
			continue
		}
		switch waiting(g.Key) {
		case model.ReasonNoCandidate, model.ReasonAntiAffinityConflict, model.ReasonInsufficientCapacity, model.ReasonImageMissing,
			model.ReasonPriorityZero, model.ReasonWaitingForGroup:
		default:
			idle = append(idle, w.formatState(g))
		}
	}
	return idle
}

func pick(rng *rand.Rand, of ...string) string { return of[rng.IntN(len(of))] }

func someOf(rng *rand.Rand, of []string) string {
	some := slices.Clone(of)
	rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	return "(" + strings.Join(some[:1+rng.IntN(len(some))], ",") + ")"
}
