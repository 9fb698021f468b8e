package audit

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Severity tells a broken invariant from something that an operator should know.
type Severity string

// Severities.
const (
	// Violation is a broken invariant: the cluster has done what it must not.
	Violation Severity = "Violation"
	// Notice is something that is not as it should be, and not the cluster's doing.
	Notice Severity = "Notice"
)

// Evidence is one fact that a finding rests on.
type Evidence struct {
	Time   time.Time `json:"time"`
	Source Source    `json:"source"`
	Fact   string    `json:"fact"`
}

// Finding is one thing that is wrong.
type Finding struct {
	// Invariant is S1 to S9 or L1.
	Invariant string   `json:"invariant"`
	Severity  Severity `json:"severity"`
	// Object is kind and name, such as ResourceGroup demo/shop.
	Object string `json:"object"`
	// Message says what is wrong, Advice what to do.
	Message  string     `json:"message"`
	Evidence []Evidence `json:"evidence"`
	Advice   string     `json:"advice"`
	// FirstSeen and LastSeen are the looks that saw it, Looks how many did.
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Looks     int       `json:"looks"`
	// Lasts says that the last look saw it too.
	Lasts bool `json:"lasts"`
}

// Verdict is the result of an audit.
type Verdict struct {
	Cluster string    `json:"cluster,omitempty"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Looks   int       `json:"looks"`
	// Seen counts the facts by source: hosts, disks and addresses that were looked at.
	Seen     map[Source]int `json:"seen"`
	Findings []Finding      `json:"findings"`
	// Unseen is what the last look could not see; Blind counts, by source, the times that something could not be looked at.
	Unseen []Unseen       `json:"unseen,omitempty"`
	Blind  map[Source]int `json:"blind,omitempty"`
}

// Violations counts the findings that are broken invariants.
func (v *Verdict) Violations() int {
	n := 0
	for _, f := range v.Findings {
		if f.Severity == Violation {
			n++
		}
	}
	return n
}

// Summary is the verdict in a line.
func (v *Verdict) Summary() string {
	length := v.Ended.Sub(v.Began).Round(100 * time.Millisecond)
	looks := fmt.Sprintf("audit: %d looks in %s", v.Looks, length)
	if v.Looks == 1 {
		looks = "audit: 1 look"
	}
	violations := v.Violations()
	notices := len(v.Findings) - violations
	switch {
	case violations == 0 && notices == 0:
		return looks + ", nothing found"
	case violations == 0:
		return fmt.Sprintf("%s, no violation, %d notices", looks, notices)
	default:
		return fmt.Sprintf("%s, %d VIOLATIONS, %d notices", looks, violations, notices)
	}
}

// sortFindings puts violations first, then orders by invariant and object.
func sortFindings(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Invariant, b.Invariant), cmp.Compare(a.Object, b.Object),
			a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.Message, b.Message),
		)
	})
}
