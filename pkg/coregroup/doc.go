// Package coregroup says what a cluster's core group should be: the group with the cluster's own address and name, made from
// Cluster.spec.access. It is an ordinary group for everything that runs it, and belongs to the Cluster: nobody but the manager makes, changes or
// deletes it.
package coregroup
