// Package policy decides where each group runs. It is pure: Plan reads a snapshot and a time and returns decisions with their
// reasons; it does no I/O, starts no goroutine, reads no clock, keeps no state and never changes its input. The same code decides
// in the manager, in the command line's what-if and, when the API server is gone, in the agents.
//
// # How to use it
//
// The caller builds a model.Snapshot, calls Plan, and carries out each Decision as one write to the group's status, with the
// resourceVersion that the snapshot was made from. A conflict throws the decision away and a new snapshot is planned. Every
// decision is complete: it can be carried out without any other one, in any order, and a plan of which only a part was written
// leads to the same end as one of which everything was.
//
// # The rules it keeps
//
// No view or no quorum decides nothing. An assignment never carries a view below the group's current one (O5), its epoch is above
// every epoch that anybody has reported (O7), and every earlier owner that is not proven harmless stays in Unproven (O2). A group
// leaves a living owner in two steps: a withdrawal (O1), and the next assignment once the owner says that it has released it.
// A healthy group moves only when its node may not keep it, when a move is asked for, or when failback is due.
package policy
