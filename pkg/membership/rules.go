package membership

// Rule is one rule of the protocol, by the number it has in the documents, the code and the tests.
type Rule string

// The rules that a simulation can switch off, to show that it finds what they prevent.
const (
	R1  Rule = "R1"  // a grant is a promise
	R2  Rule = "R2"  // a restart waits out what it may have promised
	R3  Rule = "R3"  // only a higher number is adopted
	R4  Rule = "R4"  // margins for clocks that drift apart
	R5  Rule = "R5"  // quorum under tentative records too
	R6  Rule = "R6"  // no return into an old view
	R7  Rule = "R7"  // acting counts only those that carry exactly this view
	R8a Rule = "R8a" // nobody takes the witness without waiting
	R8b Rule = "R8b" // the holder's vote counts only when its challengers were removed
	R8g Rule = "R8g" // the record is on the witness, and is read from it
	R9  Rule = "R9"  // a grant is withheld only after a whole interval outside the proposal
	R11 Rule = "R11" // no record, no vote
)
