// Package status computes what the controllers write: the status of each kind as a pure function of observed facts, the decision of
// policy and a time, and the Events that a change is worth. It never writes, reads no clock, and changes none of its inputs: every
// function returns a new status, so that a caller writes only when it differs from the one it has.
//
// Conditions follow kstatus: Ready says that the desired state is reached, Accepted that the spec is usable, Online that clients are
// served.
package status
