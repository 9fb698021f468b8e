// Package leadership lets a standby manager lead at once when the leader's host is lost from the quorate view, instead of waiting
// for the leader's Lease to run out. The agents know within a second that a host is dead; a Lease knows it many seconds later.
//
// It wraps client-go's resource lock and leaves the election itself to client-go. Three things differ from the plain Lease lock:
// renewals are written only every RenewEvery although the elector runs far more often; a standby looks at the Lease itself only
// every ReadEvery; and a holder whose host a newer quorate view lacks is shown to the elector as no holder at all.
// A leader that was only frozen, not dead, finds another holder when it wakes and stops; what it may write before that loses
// against the resourceVersion of every assignment (rule O5).
package leadership
