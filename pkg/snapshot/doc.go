// Package snapshot translates one cluster's API objects into the plain values that policy decides from. It is pure: it reads
// objects and returns values, does no I/O and reads no clock, so the command line's what-if and the agents can use it too.
//
// Facts come from the objects that their writers own: membership from the highest quorate view that a reporter has published in
// its own Node (never from what a controller derived of it), ownership from ResourceGroup.status, and what runs where from the
// agents' reports.
package snapshot
