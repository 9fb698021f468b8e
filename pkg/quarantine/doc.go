// Package quarantine decides which nodes take no groups for a while because they have left the view without notice too often (A43).
// It is pure: the times at which nodes left go in, and until when each is quarantined comes out. Unlike in WSFC, a node in quarantine
// stays a member of the view: it votes and keeps the groups that it has, since taking its vote away would only make a loss of quorum
// more likely.
package quarantine
