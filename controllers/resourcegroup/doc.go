// Package resourcegroup decides where each group runs and writes the decision: it snapshots a cluster's objects, calls policy.Plan,
// and writes every changed group's status with the resourceVersion that the decision was made from (rule O5). It is keyed by the
// cluster, because a node's death is one decision about all of its groups.
//
// Nothing of a decision is kept in memory: whichever write is lost, or whoever dies between two of them, the next round starts from
// what the API holds and comes to the same end. What is remembered is own writes that the cache does not show yet, and the
// last round that was written in full, so that a change which concerns one group alone is looked at alone (decision.Memory).
package resourcegroup
