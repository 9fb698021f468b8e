package reservation

// Rule is one rule of the protocol of the disk, by the number that it has in the documents.
type Rule string

// The rules that the simulation can switch off, to show that it finds what they prevent.
const (
	RulePreempt Rule = "O13" // an earlier holder is preempted
	RuleStale   Rule = "O20" // a higher epoch on the disk means stale
)
