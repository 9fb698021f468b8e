// Package ocf runs resource agents of the Open Cluster Framework (OCF Resource Agent API 1.1): it finds them, reads their meta-data, checks
// parameters against it, and carries their actions out.
package ocf
