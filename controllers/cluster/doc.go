// Package cluster publishes what agents have agreed on (membership, quorum, networks) as the status of their Cluster, and performs
// the two acts that belong to no agent: the cluster's first formation (R11), once, and the adoption of the agents' cluster id after
// the API server was restored. It also keeps the cluster's core group as Cluster.spec.access wants it (pkg/coregroup).
package cluster
