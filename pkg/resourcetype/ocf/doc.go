// Package ocf runs any Open Cluster Framework resource agent as a resource. What the agent starts is in a cgroup of its own, so that nothing
// of it can be left; what it does elsewhere (mounts, addresses) only the agent itself can undo.
package ocf
