package lifecycle

// Rule is one rule of the protocol of ownership, by the number that it has in the documents.
type Rule string

// The rules that the simulation can switch off, to show that it finds what they prevent.
const (
	RuleWait      Rule = "O4"  // what nothing else proves waits for the self-fence deadline
	RuleAllDisks  Rule = "O12" // all disks are reserved before anything starts
	RuleViewFirst Rule = "R10" // an assignment from before a life first acted is not obeyed
)
