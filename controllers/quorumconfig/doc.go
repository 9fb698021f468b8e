// Package quorumconfig shows how the votes of a cluster stand: what each node was given, what the vote record gives it now, and how
// many are required and present.
package quorumconfig
