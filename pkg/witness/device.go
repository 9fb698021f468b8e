package witness

import (
	"context"
	"fmt"
	"slices"

	"github.com/quorate/quorate/pkg/reservation"
)

// Status is who holds the witness and who is registered on it.
type Status struct {
	// ID is the witness's own identity, made at random when it is first taken and kept while it lives; 0 before that. Hosts that read
	// different ids do not look at the same witness, whatever its name on them; a vote record names the one that votes.
	ID uint64
	// Holder is the key that holds the witness; 0 when nobody does.
	Holder reservation.Key
	// Keys are the registered keys, sorted and each once: the challengers', and the holder's too.
	Keys []reservation.Key
}

// Registered reports whether the key is registered, as a challenger or as the holder.
func (s Status) Registered(k reservation.Key) bool { return slices.Contains(s.Keys, k) }

// Challengers are the registered keys beside the holder's.
func (s Status) Challengers() []reservation.Key {
	var out []reservation.Key
	for _, k := range s.Keys {
		if k != s.Holder {
			out = append(out, k)
		}
	}
	return out
}

// Describe says in words how the status looks to me: "node 2 holds it, and this node's registration is gone".
func Describe(s Status, me reservation.Key) string {
	holder := "nobody holds it"
	switch {
	case s.Holder == me:
		holder = "this node holds it"
	case s.Holder != 0:
		holder = fmt.Sprintf("node %d holds it (key %s)", s.Holder.Node(), s.Holder)
	}
	if !s.Registered(me) {
		return holder + ", and this node's registration is gone"
	}
	return holder
}

// Device is a witness as one host has it. A key is reservation.NewKey(cluster, node, incarnation mod 2^28), never 0; me is the
// caller's own. A node has one registration, whatever the number of its paths.
//
// Every method does I/O that the kernel may hang for longer than its ctx allows: call it through Async. A call that ended in an
// error other than ErrConflict may have taken effect, or may still do so while it has not returned; no call of the same device may be
// made before it has returned. (Async sees to it.) After such an error only a new Look says how things are.
//
// Errors are wrapped: ErrConflict, ErrUnreachable, ErrForeign, ErrTooSmall, ErrInUse, ErrNoReservations; see there.
type Device interface {
	// Name is for messages: the device's path, or the Lease's name.
	Name() string

	// Look reads who holds the witness and who is registered. For the holder (me is Status.Holder) it is authoritative: what it
	// returns is not older than the start of the call. For others it may be older; nothing safe may be concluded from it but by a
	// Take, which checks. It changes nothing but, for the holder, the mark of its renewal.
	Look(ctx context.Context, me reservation.Key) (Status, error)

	// Register makes me stand as a challenger. It replaces older registrations of this node. If one of those holds the witness, the
	// witness becomes free by it, or stays with the old key (when that sits on a path that is gone): in both cases it has to be
	// taken like anybody's (R8e). Registering me again changes nothing, whether me is a challenger or the holder.
	Register(ctx context.Context, me reservation.Key) error

	// Remove takes challengers' registrations away, in one step where the kind allows it; only the holder calls it. It succeeds too
	// for challengers that are gone already. Its success proves that me held the witness at some time after the start of the call.
	// ErrConflict: me is not the holder any more.
	Remove(ctx context.Context, me reservation.Key, victims ...reservation.Key) error

	// Take makes me the holder in place of exactly this holder, whose registration goes, and whose commands in flight on a disk
	// are aborted; holder 0 takes a free witness. me must be registered. It succeeds too if me holds it already. ErrConflict: me is
	// not registered any more, or somebody else holds the witness; nothing has changed.
	Take(ctx context.Context, me, holder reservation.Key) error

	// Release gives the witness up. me stays registered as a challenger, until somebody removes it or it unregisters. Releasing
	// what me does not hold changes nothing.
	Release(ctx context.Context, me reservation.Key) error

	// Unregister removes me's registration, and releases the witness if me holds it.
	Unregister(ctx context.Context, me reservation.Key) error

	// Load reads the newest valid content, merged over all that was ever saved: the highest committed record, the highest tentative
	// one above it, and the state of the highest version that can be read. It returns a zero Content (but for ClusterID) when nothing
	// was saved yet. The holder reads it right after Take.
	Load(ctx context.Context) (Content, error)

	// Save stores the records, and the state if its version is higher than the stored one's. It is durable when it returns nil. Only
	// the holder saves; a late save of somebody who was preempted can harm nothing that another node saved (R8h). ErrConflict: me
	// does not hold the witness.
	Save(ctx context.Context, me reservation.Key, c Content) error

	// Close gives the device's resources back. It leaves registrations and the reservation alone.
	Close() error
}
