// Package replica is the copy of a cluster's state that its witness keeps: specs, assignments and epochs, as the holder of the witness
// last knew them. A node that returns alone reads from it how far the epochs have come while it was away (O7), whatever its own disk
// and the API server say.
package replica
