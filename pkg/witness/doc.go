// Package witness is the vote beside the nodes: something outside them that one node at a time can hold, that the others can
// challenge, and that keeps the vote record and a copy of the cluster's state. A Device is one host's way to it; there are three
// kinds, in packages of their own: disk (a shared disk with persistent reservations), fileshare (a directory that all hosts mount)
// and lease (a Lease of another Kubernetes cluster).
//
// When to challenge, when to take and when to give up is decided in pkg/membership (rule R8); a Device only carries out one act at a
// time and tells truly how it went. A witness that hangs must hang nobody: Async runs the acts.
package witness
