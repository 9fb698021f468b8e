package quarantine

import (
	"cmp"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Settings say what is too often. The zero value quarantines nobody; see Default.
type Settings struct {
	// Threshold is how many exits within Period quarantine a node; 0 for never.
	Threshold int
	Period    time.Duration
	// Duration is how long a quarantine lasts, counted from the exit that was one too many.
	Duration time.Duration
}

// Default is WSFC's rule: three exits within an hour, for two hours (QuarantineThreshold 3, QuarantineDuration 7200).
func Default() Settings { return Settings{Threshold: 3, Period: time.Hour, Duration: 2 * time.Hour} }

// Node is what is known of one node of the cluster.
type Node struct {
	ID model.NodeID
	// Exits are the times at which it left the quorate view without notice, in any order.
	Exits []time.Time
	// ClearedAt is when an operator last forgave it: exits up to then do not count. Zero for never.
	ClearedAt time.Time
	// Until is the end of the quarantine that it is known to be in; zero for none. It keeps the place of one that is in quarantine
	// already when others come to deserve it.
	Until time.Time
}

// Verdict is how a node stands.
type Verdict struct {
	// Until is when its quarantine ends by itself; zero when it is in none.
	Until time.Time
	// Recent is how many exits within the period count against it.
	Recent int
	// Spared says that it has left too often and is not quarantined, because as many nodes are as may be.
	Spared bool
}

// Most is how many of so many nodes may be in quarantine at once: a quarter, but one at least, and none where fewer than two nodes
// would be left to take groups.
func Most(nodes int) int {
	if nodes < 3 {
		return 0
	}
	return max(1, nodes/4)
}

// Decide gives a verdict for every node of the cluster. A later exit that is one too many again begins the quarantine anew. When more
// nodes deserve it than may be in it, those that are in it come first, then those that left first, then lower ids.
func Decide(nodes []Node, s Settings, now time.Time) map[model.NodeID]Verdict {
	verdicts := make(map[model.NodeID]Verdict, len(nodes))
	var deserving []Node
	for i := range nodes {
		n := nodes[i]
		exits := counting(&n)
		v := Verdict{Recent: within(exits, now.Add(-s.Period), now)}
		if until := s.until(exits); until.After(now) {
			v.Until, v.Spared = until, true
			deserving = append(deserving, n)
		}
		verdicts[n.ID] = v
	}
	slices.SortFunc(deserving, func(a, b Node) int {
		return cmp.Or(inside(&b, now)-inside(&a, now), verdicts[a.ID].Until.Compare(verdicts[b.ID].Until), cmp.Compare(a.ID, b.ID))
	})
	for i, n := range deserving {
		v := verdicts[n.ID]
		v.Spared = i >= Most(len(nodes))
		if v.Spared {
			v.Until = time.Time{}
		}
		verdicts[n.ID] = v
	}
	return verdicts
}

// counting are the exits that were not forgiven, in order.
func counting(n *Node) []time.Time {
	exits := slices.DeleteFunc(slices.Clone(n.Exits), func(t time.Time) bool { return !t.After(n.ClearedAt) })
	slices.SortFunc(exits, time.Time.Compare)
	return exits
}

// until is when the quarantine ends that the last exit which was one too many has brought; zero when none was.
func (s Settings) until(exits []time.Time) time.Time {
	if s.Threshold < 1 {
		return time.Time{}
	}
	for last := len(exits) - 1; last >= 0; last-- {
		if within(exits, exits[last].Add(-s.Period), exits[last]) >= s.Threshold {
			return exits[last].Add(s.Duration)
		}
	}
	return time.Time{}
}

// within counts the exits after from, up to and with to.
func within(exits []time.Time, from, to time.Time) int {
	count := 0
	for _, t := range exits {
		if t.After(from) && !t.After(to) {
			count++
		}
	}
	return count
}

func inside(n *Node, now time.Time) int {
	if n.Until.After(now) {
		return 1
	}
	return 0
}
