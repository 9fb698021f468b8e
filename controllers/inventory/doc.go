// Package inventory gives every controller the same view of one cluster: all of its objects from the cache, whether its reporter is
// still heard, and which cluster an event belongs to. All controllers are keyed by the cluster's name, so that a change of membership
// is handled once for all nodes and groups, and not once for each.
package inventory
