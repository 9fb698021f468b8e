// Package model holds the plain values that every decision in Quorate is made from: nodes, views, groups, assignments, epochs
// and their states. It imports nothing of Kubernetes and does no I/O, so that the same code decides in the manager, in the
// command line's what-if and, when the API server is gone, in the agents.
package model
