package autonomy

// rule is a rule that a mutation can take away.
type rule string

const (
	ruleWait   rule = "J1" // a session is opened only when nobody has reached the API server for the waiting time
	ruleTold   rule = "J2" // the API server is obeyed only when every member of the view has said that there is no journal
	ruleJoined rule = "J3" // nothing is decided before every member has joined and reported
	ruleJump   rule = "J4" // epochs begin far above what is known
	ruleLost   rule = "J5" // a journal that is in nobody's hands is remembered
	// ruleUnreported makes nodes outside the view unproven for every group that is decided about (O6).
	ruleUnreported rule = "J6"
	// ruleRead and ruleKept make the witness one more member of a view that needs its vote: what it keeps is read before its vote counts,
	// and what is decided is on it before it is obeyed.
	ruleRead rule = "J9 read"
	ruleKept rule = "J9 kept"
)
