package pacemaker

import (
	"fmt"
	"maps"
	"slices"
)

// outcome is one comparison: a unit (resources that run together) in one state.
type outcome struct {
	c            *Cluster
	unit         string
	before       string // where it ran
	down         string // the node that died; empty for a first placement
	theirs, ours string // empty for nowhere
	all          struct{ before, theirs, ours map[string]string }
}

// class is a reason for which the two may differ. docs/import-pacemaker.md has the same names.
type class struct {
	name  string
	holds func(o *outcome) bool
}

// classes in the order in which they are tried. None holds unless each side's placement keeps the CIB's hard rules (violations).
var classes = []class{
	{"all-or-none", allOrNone},
	{"serves-on", servesOn},
	{"stays", stays},
	{"apart-first", apartFirst},
	{"walks-on", walksOn},
	{"who-gives-way", whoGivesWay},
	{"room", room},
	{"waits-for-other", waitsForOther},
	{"even", even},
}

// members are the resources of the unit.
func (o *outcome) members() []*Resource {
	var list []*Resource
	for name, group := range o.c.groups() {
		if group == o.unit {
			list = append(list, o.c.Resource(name))
		}
	}
	slices.SortFunc(list, func(a, b *Resource) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	return list
}

// score is the unit's location score on a node.
func (o *outcome) score(node string) int { return o.c.score(o.unit, node) }

func (c *Cluster) score(unit, node string) int {
	total := 0
	for name, group := range c.groups() {
		if group == unit {
			own := c.Resource(name).Scores[node]
			if own < 0 {
				own = -Infinity // what one of them has below zero, a colocation does not make good
			}
			total = add(total, own)
		}
	}
	return total
}

func add(a, b int) int {
	switch {
	case a <= -Infinity || b <= -Infinity:
		return -Infinity
	case a >= Infinity || b >= Infinity:
		return Infinity
	}
	return a + b
}

func (o *outcome) stickiness() int {
	total := 0
	for _, r := range o.members() {
		for range max(1, r.Members) {
			total = add(total, o.c.Stickiness)
		}
	}
	return total
}

// servesOn: the unit ran well on a node that is still there, and what it was started after has no home any more. Pacemaker stops it;
// Quorate waits with starting only, and stops nothing healthy.
func servesOn(o *outcome) bool {
	return o.before != "" && o.before != o.down && o.ours == o.before && o.theirs == "" && o.waits(o.all.theirs)
}

// waits says that the unit is to start after one that is nowhere.
func (o *outcome) waits(owners map[string]string) bool {
	groups := o.c.groups()
	return slices.ContainsFunc(o.c.Orders, func(p Pair) bool {
		return groups[p.Then] == o.unit && groups[p.First] != o.unit && owners[p.First] == ""
	})
}

// stays: the unit ran well on a node that is still there, and Pacemaker moves it: to balance the nodes (no stickiness), or because a node
// with a better score has become free. Quorate leaves a healthy group where it is.
func stays(o *outcome) bool {
	return o.down != "" && o.before != "" && o.before != o.down && o.ours == o.before && o.theirs != o.before &&
		(o.stickiness() == 0 && o.score(o.theirs) >= o.score(o.before) || o.score(o.theirs) > add(o.score(o.before), o.stickiness()) || o.pushed())
}

// pushed says that another unit took its place in theirs: one that is to be apart, or one that needed the room.
func (o *outcome) pushed() bool {
	return len(o.c.rivals(o.unit)) > 0 || o.c.Strategy != ""
}

// allOrNone: of two that a colocation ties together, Pacemaker may leave the second one stopped and run the first. As one ResourceGroup
// both run, or none.
func allOrNone(o *outcome) bool {
	return o.theirs != "" && !o.c.whole(o.unit, o.all.theirs) || o.before != "" && !o.c.whole(o.unit, o.all.before)
}

// whole says that all of the unit runs.
func (c *Cluster) whole(unit string, owners map[string]string) bool {
	for name, group := range c.groups() {
		if group == unit && owners[name] == "" {
			return false
		}
	}
	return true
}

// even: the nodes are alike by score; Pacemaker counts resources, then compares names, Quorate compares load (or the order of the list),
// then ids.
func even(o *outcome) bool {
	return o.theirs != "" && o.ours != "" && o.score(o.theirs) == o.score(o.ours)
}

// walksOn: after a failure Quorate goes on down the list from the owner that failed (A18); Pacemaker takes the best score.
func walksOn(o *outcome) bool {
	return o.down != "" && o.before == o.down && o.theirs != "" && o.ours != "" && o.score(o.theirs) > o.score(o.ours) &&
		o.score(o.theirs) >= o.score(o.down) && o.score(o.theirs) > 0
}

// apartFirst: a colocation of a finite score below zero is one number among others for Pacemaker; for Quorate a shared class comes before
// preferences.
func apartFirst(o *outcome) bool {
	return slices.ContainsFunc(o.c.Apart, func(a Apart) bool {
		return a.Score > -Infinity && (o.c.groups()[a.First] == o.unit || o.c.groups()[a.Then] == o.unit)
	})
}

// whoGivesWay: of two that are to be apart, Pacemaker places the one that the other refers to first, and keeps it off the nodes that the
// other prefers; Quorate places the one of higher priority first, then the one that comes first by name, each as it prefers itself.
func whoGivesWay(o *outcome) bool {
	rivals := o.c.rivals(o.unit)
	return slices.ContainsFunc(rivals, func(other string) bool {
		return o.ours != "" && (o.all.theirs[other] == o.ours || o.c.score(other, o.ours) > 0) || o.theirs != "" && o.all.ours[other] == o.theirs
	})
}

// rivals are the units that the unit must be apart from.
func (c *Cluster) rivals(unit string) []string {
	var list []string
	groups := c.groups()
	for _, a := range c.Apart {
		switch unit {
		case groups[a.First]:
			list = append(list, groups[a.Then])
		case groups[a.Then]:
			list = append(list, groups[a.First])
		}
	}
	return list
}

// room: capacity is short on the node that one side chose, as the other side has filled it; or as Pacemaker has kept it for units that then
// do not start, since they are ordered after one that has no home: it does not look again for those that found no room.
func room(o *outcome) bool {
	if o.c.Strategy == "" {
		return false
	}
	need := 0
	for _, r := range o.members() {
		need += r.Requests
	}
	full := func(node string, owners map[string]string, kept int) bool {
		used := kept
		for name, at := range owners {
			if r := o.c.Resource(name); at == node && o.c.groups()[name] != o.unit {
				used += r.Requests
			}
		}
		i := slices.IndexFunc(o.c.Nodes, func(n Node) bool { return n.Name == node })
		return i >= 0 && used+need > o.c.Nodes[i].Capacity
	}
	return o.theirs != "" && full(o.theirs, o.all.ours, 0) || o.ours != "" && full(o.ours, o.all.theirs, o.kept())
}

// kept is the room of units that are nowhere by Pacemaker because they wait for one that is nowhere.
func (o *outcome) kept() (room int) {
	groups := o.c.groups()
	for name, group := range groups {
		other := &outcome{c: o.c, unit: group}
		if group != o.unit && o.all.theirs[name] == "" && other.waits(o.all.theirs) {
			room += o.c.Resource(name).Requests
		}
	}
	return room
}

// waitsForOther: it is to start after another unit, which one side has placed and the other has not.
func waitsForOther(o *outcome) bool {
	groups := o.c.groups()
	return slices.ContainsFunc(o.c.Orders, func(p Pair) bool {
		first := groups[p.First]
		return groups[p.Then] == o.unit && first != o.unit && (o.all.theirs[first] == "") != (o.all.ours[first] == "")
	})
}

// violations are the hard rules of the CIB that a placement breaks, worked out without either side's code.
func (c *Cluster) violations(before, owners map[string]string, down string) []string {
	var found []string
	groups := c.groups()
	used := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(owners)) {
		node, r := owners[name], c.Resource(name)
		i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == node })
		used[node] += r.Requests
		switch {
		case i < 0 || node == down:
			found = append(found, fmt.Sprintf("%s on %s, which is not there", name, node))
		case c.Nodes[i].Standby:
			found = append(found, fmt.Sprintf("%s on %s, which is in standby", name, node))
		case r.Scores[node] < 0, c.score(groups[name], node) < 0 && c.whole(groups[name], owners):
			found = append(found, fmt.Sprintf("%s on %s, with a score below zero", name, node))
		case r.Stopped:
			found = append(found, name+" runs, and is to be stopped")
		}
	}
	for _, a := range c.Apart {
		if a.Score <= -Infinity && owners[a.First] != "" && owners[a.First] == owners[a.Then] {
			found = append(found, fmt.Sprintf("%s and %s are not apart", a.First, a.Then))
		}
	}
	for _, t := range c.Together {
		if owners[t.Then] != "" && owners[t.First] != owners[t.Then] {
			found = append(found, fmt.Sprintf("%s and %s are not together", t.First, t.Then))
		}
	}
	for _, o := range c.Orders {
		if owners[o.Then] != "" && owners[o.First] == "" && owners[o.Then] != before[o.Then] {
			found = append(found, fmt.Sprintf("%s runs without %s", o.Then, o.First))
		}
	}
	for _, n := range c.Nodes {
		if c.Strategy != "" && used[n.Name] > n.Capacity {
			found = append(found, fmt.Sprintf("%s has %d of %d", n.Name, used[n.Name], n.Capacity))
		}
	}
	return found
}
