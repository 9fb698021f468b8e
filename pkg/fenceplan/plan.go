package fenceplan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Plan decides what this node is to fence now.
func Plan(f *Facts, now time.Time) Result {
	p := &planner{f: f, now: now}
	if !f.Acting {
		return p.result
	}
	nodes := slices.Clone(f.Nodes)
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	var idle []Node // those that nobody waits for come last
	for i := range nodes {
		n := &nodes[i]
		if n.ID == f.Self || n.Generation == 0 || p.inView(n.ID) {
			continue
		}
		if reason, waits := p.needed(n); waits {
			p.judge(n, reason, Together)
		} else {
			idle = append(idle, *n)
		}
	}
	for i := range idle {
		n := &idle[i]
		if reason := p.owned(n); n.Policy == Always && reason != "" {
			p.judge(n, reason, 1)
		} else {
			p.say(n, CodeNotNeeded, "no group waits for proof that it is off")
		}
	}
	slices.SortFunc(p.result.Verdicts, func(a, b Verdict) int { return cmp.Compare(a.Node, b.Node) })
	return p.result
}

type planner struct {
	f      *Facts
	now    time.Time
	result Result
}

func (p *planner) say(n *Node, code, message string) {
	p.result.Verdicts = append(p.result.Verdicts, Verdict{Node: n.Name, Code: code, Message: message})
}

// lookAgain makes Next no later than t.
func (p *planner) lookAgain(t time.Time) {
	if p.result.Next.IsZero() || t.Before(p.result.Next) {
		p.result.Next = t
	}
}

func (p *planner) inView(id model.NodeID) bool {
	return slices.ContainsFunc(p.f.View, func(m Member) bool { return m.ID == id })
}

// needed names a group that cannot go on before the node's life is proven harmless.
func (p *planner) needed(n *Node) (string, bool) {
	life := model.Member{ID: n.ID, Generation: n.Generation}
	var first string
	for i := range p.f.Groups {
		g := &p.f.Groups[i]
		waits := g.NeedsFencing && !g.Proven && !g.Maintenance && p.inView(g.Owner.ID) && slices.Contains(g.Unproven, life)
		if waits && (first == "" || g.Name < first) {
			first = g.Name
		}
	}
	return fmt.Sprintf("group %s waits for proof that it is harmless", first), first != ""
}

// owned names a group whose owner the life is, or was and is not yet proven harmless; "" if there is none.
func (p *planner) owned(n *Node) string {
	life := model.Member{ID: n.ID, Generation: n.Generation}
	var first string
	for i := range p.f.Groups {
		g := &p.f.Groups[i]
		if !g.Maintenance && (g.Owner == life || slices.Contains(g.Unproven, life)) && (first == "" || g.Name < first) {
			first = g.Name
		}
	}
	if first == "" {
		return ""
	}
	return fmt.Sprintf("it was lost as owner of group %s, and is always fenced then", first)
}

// judge decides about a lost node that there is a reason to fence. together bounds the fencings that run at the same time.
func (p *planner) judge(n *Node, reason string, together int) {
	h := historyOf(n, p.now)
	switch {
	case n.Left:
		p.say(n, CodeLeft, "it took its leave: nothing of it runs")
		return
	case p.f.Maintenance || n.Maintenance:
		p.say(n, CodeMaintenance, "the cluster or the node is in maintenance")
		return
	case h.fenced:
		p.say(n, CodeDone, "its power was cut")
		return
	case n.Confirmed == n.Generation:
		p.say(n, CodeDone, "an operator has confirmed that it is off")
		return
	}
	fencer, levels := p.fencer(n)
	switch {
	case fencer == 0:
		p.say(n, CodeNoFencer, "no member of the view can fence it")
	case fencer != p.f.Self:
		p.say(n, CodeElsewhere, fmt.Sprintf("node %d fences it", fencer))
	case h.running(p.f.Self):
		p.say(n, CodeRunning, "its power is being cut")
	case h.until.After(p.now):
		p.lookAgain(h.until)
		p.say(n, h.code, h.why)
	case len(p.result.Orders)+p.running() >= together:
		p.say(n, CodeQueue, "other fencings come first")
	default:
		p.say(n, CodeFence, reason)
		p.result.Orders = append(p.result.Orders, Order{
			Target: model.Member{ID: n.ID, Generation: n.Generation}, Node: n.Name, Levels: levels, Reason: reason,
			PowerOn: !n.StaysOff && h.cycles < CyclesPerHour,
		})
	}
}

// running counts the fencings that this node is carrying out.
func (p *planner) running() int {
	count := 0
	for i := range p.f.Nodes {
		for _, r := range p.f.Nodes[i].Records {
			if r.By == p.f.Self && r.State == Running {
				count++
			}
		}
	}
	return count
}

// fencer is the member that fences the node: each works it out for itself and comes to the same.
func (p *planner) fencer(n *Node) (model.NodeID, []int) {
	best, fewest := model.NodeID(0), 0
	for _, m := range p.f.View {
		if len(n.Fencers[m.ID]) == 0 || !m.ReachesAPI {
			continue
		}
		failures := 0
		for _, r := range n.Records {
			if r.By == m.ID && r.Generation == n.Generation {
				failures = r.Failures
			}
		}
		if best == 0 || failures < fewest || failures == fewest && m.ID < best {
			best, fewest = m.ID, failures
		}
	}
	return best, n.Fencers[best]
}

// history is what has been done about a node.
type history struct {
	fenced bool
	// cycles is how often it was switched on again within the hour.
	cycles int
	// until is how long the next attempt waits, why and code say for what.
	until     time.Time
	code, why string
	records   []Record
	life      model.Generation
}

func (h *history) running(self model.NodeID) bool {
	return slices.ContainsFunc(h.records, func(r Record) bool { return r.By == self && r.State == Running })
}

func historyOf(n *Node, now time.Time) *history {
	h := &history{records: n.Records, life: n.Generation}
	var attempts []time.Time
	failures, last := 0, time.Time{}
	for _, r := range n.Records {
		for _, t := range r.Cycles {
			if now.Sub(t) < hour {
				h.cycles++
			}
		}
		for _, t := range r.Attempts {
			if now.Sub(t) < hour {
				attempts = append(attempts, t)
			}
		}
		if r.Generation != n.Generation {
			continue
		}
		h.fenced = h.fenced || r.State == Fenced
		failures += r.Failures
		if r.Failures > 0 && len(r.Attempts) > 0 && r.Attempts[len(r.Attempts)-1].After(last) {
			last = r.Attempts[len(r.Attempts)-1]
		}
	}
	if failures > 0 {
		h.until, h.code = last.Add(pause(failures)), CodePause
		h.why = fmt.Sprintf("%d attempts have failed; the next is at %s", failures, h.until.UTC().Format(time.TimeOnly))
	}
	if len(attempts) >= AttemptsPerHour {
		slices.SortFunc(attempts, time.Time.Compare)
		if free := attempts[len(attempts)-AttemptsPerHour].Add(hour); free.After(h.until) {
			h.until, h.code = free, CodeTooOften
			h.why = fmt.Sprintf("%d attempts within an hour are the most", AttemptsPerHour)
		}
	}
	return h
}

// pause doubles from failure to failure.
func pause(failures int) time.Duration {
	d := firstPause
	for range failures - 1 {
		if d *= 2; d >= longestPause {
			return longestPause
		}
	}
	return d
}
