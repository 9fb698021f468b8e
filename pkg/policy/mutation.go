package policy

// Rule is one rule of the protocol of ownership, by the number that it has in the documents.
type Rule string

// The rules that the simulation can switch off, to show that it finds what they prevent.
const (
	RuleSaid   Rule = "O1" // an owner has released only what it says
	RuleListed Rule = "O2" // every earlier owner is listed until it is proven harmless
)
