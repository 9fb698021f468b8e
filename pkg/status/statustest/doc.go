// Package statustest drives the computation of nodes' statuses over a small fake cluster: scripts in test/scenarios/nodes let views
// come and go, and show how each node stands. Each command that changes something is followed by one look of the node controller.
package statustest
