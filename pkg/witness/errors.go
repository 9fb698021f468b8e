package witness

import (
	"errors"

	"github.com/quorate/quorate/pkg/reservation"
)

// ErrConflict says that the witness is not as the call assumed: somebody else took it, or removed the caller. Nothing has changed.
var ErrConflict = reservation.ErrConflict

// Errors of a Device beside ErrConflict. Only ErrUnreachable, ErrAbsent and ErrHung pass by themselves; with the others an operator has
// to do something, and their text says what.
var (
	// ErrUnreachable says that the witness did not answer in time or answered with an I/O error.
	ErrUnreachable = errors.New("the witness cannot be reached")
	// ErrAbsent says that the device, directory or namespace is not there on this host.
	ErrAbsent = errors.New("the witness is not there")
	// ErrHung says that an earlier call has still not returned.
	ErrHung = errors.New("an earlier call to the witness has not returned")
	// ErrForeign says that the witness belongs to another cluster, or carries keys that are not of this one.
	ErrForeign = errors.New("the witness belongs to another cluster")
	// ErrTooSmall says that the disk is smaller than a witness needs.
	ErrTooSmall = errors.New("the witness is too small")
	// ErrInUse says that something else lives there: a mount, a file system, a partition table, LVM, a group's disk, somebody's Lease.
	ErrInUse = errors.New("the witness is in use for something else")
	// ErrNotShared says that a directory is on a file system that this host does not share with others.
	ErrNotShared = errors.New("the witness is not on a shared file system")
	// ErrNoReservations says that the disk does not support persistent reservations as a witness needs them.
	ErrNoReservations = errors.New("the disk does not support persistent reservations")
	// ErrGarbled says that what the witness holds cannot be read as a witness's content.
	ErrGarbled = errors.New("the witness's content is garbled")
	// ErrRefused says that the witness does not let this host in: permissions, a wrong or expired credential.
	ErrRefused = errors.New("the witness refuses access")
)
