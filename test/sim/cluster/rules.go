package cluster

// rule is a rule of the shells, or of the world itself, that a mutation can take away.
type rule string

// Rules by the number that they have in the documents.
const (
	ruleSwap      rule = "O5"  // a write with an old resourceVersion is refused
	ruleRecall    rule = "O6"  // managers remember what agents have reported
	ruleLate      rule = "O8"  // the lease is asked immediately before each act
	ruleGuardian  rule = "O11" // the guardian stops what the agent does not
	ruleParked    rule = "O15" // a disk is parked, never released
	ruleAbort     rule = "O16" // what the target has accepted from a preempted host is aborted
	ruleIdle      rule = "O17" // a host registers only while nothing on it uses the disk
	ruleBurn      rule = "O3"  // all of a life that has lost quorum is stopped
	ruleAddresses rule = "S4"  // the kernel silences addresses when their lease ends
	ruleFeed      rule = "J7"  // who joins a session tells first what it has obeyed
	ruleShown     rule = "J8"  // a node that goes by its journal says so to the controllers, which write it first
)
