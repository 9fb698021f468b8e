// Package quarantine decides which nodes take no groups for a while because they have left the view without notice too often (A43).
// It is pure: the times at which nodes left go in, and until when each is quarantined comes out.
package quarantine
