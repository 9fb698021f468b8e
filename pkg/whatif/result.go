package whatif

// Result is what happened. Its JSON form is part of the command line's interface.
type Result struct {
	Steps []Step `json:"steps"`
	// Placement and Unplaced are those of the end; where each step is a case of its own (Failures), those before any of them.
	Placement map[string]string   `json:"placement"`
	Unplaced  map[string]Unplaced `json:"unplaced"`
}

// Step is one event with everything that followed from it.
type Step struct {
	Event   string   `json:"event"`
	Quorate bool     `json:"quorate"`
	Actions []Action `json:"actions"`
	// Placement has the node of every group that is online after the step, by namespace/name. The nodes of a group of mode
	// LoadBalanced are separated by commas.
	Placement map[string]string `json:"placement"`
	// Unplaced are the groups that are wanted online and are not.
	Unplaced map[string]Unplaced `json:"unplaced"`
}

// Verb says what an action does to a group.
type Verb string

// Verbs.
const (
	// Failover is an unplanned change of nodes, Move a planned one (an operator's, a drain, a node that may not keep the group), Failback
	// one to a node that the group prefers.
	Failover Verb = "Failover"
	Move     Verb = "Move"
	Failback Verb = "Failback"
	// Online is a start of a group that was nowhere, Offline a stop, or the loss of its node, without another place.
	Online  Verb = "Online"
	Offline Verb = "Offline"
	// Restart is a start on the same node after a failure, Fail a resource or a group that is given up.
	Restart Verb = "Restart"
	Fail    Verb = "Fail"
	// Change is what an edit does to resources of a group that is online and stays so.
	Change Verb = "Change"
)

// Action is one thing that happened to a group.
type Action struct {
	Group  string `json:"group"`
	Action Verb   `json:"action"`
	// From and To are names of nodes; empty for nowhere.
	From    string `json:"from"`
	To      string `json:"to"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Unplaced is why a group that is wanted online is not.
type Unplaced struct {
	// Reason is the reason code of the nodes that came nearest to taking the group, or what the group itself waits for.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Nodes has a reason code for every node.
	Nodes map[string]string `json:"nodes"`
}

// Exit codes of a what-if.
const (
	ExitPlaced   = 0
	ExitBadInput = 1
	ExitUnplaced = 3
	ExitNoQuorum = 4
)

// ExitCode is 0 when after the given steps all groups that are wanted are online, 4 when a step has no quorum, else 3.
func ExitCode(steps ...Step) int {
	code := ExitPlaced
	for i := range steps {
		switch {
		case !steps[i].Quorate:
			return ExitNoQuorum
		case len(steps[i].Unplaced) > 0:
			code = ExitUnplaced
		}
	}
	return code
}
