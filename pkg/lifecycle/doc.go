// Package lifecycle is the state machine of one resource group on one node: which resource to reserve, start, stop or terminate
// next, when a pending state has lasted too long, when a failed resource is restarted in place and when the group asks to be
// failed over. It is pure: Step takes the time and an input and returns actions; package monitor carries them out and feeds the
// results back. Rules O1, O6, O8 to O10, O12 and O13 of the ownership protocol live here; times are durations since boot.
package lifecycle
