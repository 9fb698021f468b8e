// Package quorum is the arithmetic of votes: who counts under a vote record, what a majority of it is, until when a set of
// leased votes makes one, and which record should follow a membership (rules R5 and R11; DESIGN section 4).
//
// A Record names the voters. The highest voter of an even number does not count when no witness votes, so the number of
// counting votes is odd and two halves never tie. Quorum under a record that is still tentative is asked for beside the
// committed one by the caller: this package judges one record at a time.
package quorum
