// Package decision is what the group controller decides in one round, without the reading and the writing: from the objects of a
// cluster it makes the findings of validation, the snapshot, the plan, and the status of each group that follows from it. The
// controller and the command line's what-if call the same code.
package decision
