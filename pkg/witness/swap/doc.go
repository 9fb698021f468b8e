// Package swap makes a witness out of a place that has no reservations, only one small document that is replaced by
// compare-and-swap: a file share, or a Lease. The document is an emulated disk array (reservation.Array) with the vote records, so the
// witness behaves as one on a real disk does (R8j); the holder's every look renews it, which proves that nothing changed before.
//
// A read may be stale without harm. Whatever matters is decided by a swap, whose success proves that what was read was current.
package swap
