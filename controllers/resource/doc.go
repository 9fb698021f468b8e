// Package resource keeps the manager's part of each Resource: whether its spec is usable, whether its desired state is reached, the
// finalizer that has it offline before it is deleted, and the state Unknown once its owner is dead and nobody else reports.
package resource
