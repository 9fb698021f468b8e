package reservation

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate/quorate/pkg/model"
)

// Type is a persistent reservation type, by its SPC-4 number.
type Type uint8

// WriteExclusiveRegistrantsOnly lets everybody read and only registered hosts write. It is the only type that Quorate uses.
const WriteExclusiveRegistrantsOnly Type = 5

// Status is what READ KEYS and READ RESERVATION say, of one PRgeneration.
type Status struct {
	// Enforced says that the disk itself refuses the writes of hosts that are not registered.
	Enforced bool `json:"enforced"`
	// PTPL says that registrations and reservation survive a power loss of the disk.
	PTPL bool `json:"ptpl"`
	// Generation is the PRgeneration: it grows with each registration, preemption and clear.
	Generation uint32 `json:"generation"`
	// Keys has one key for each registered path or host.
	Keys []Key `json:"keys"`
	// Holder is the key that holds the reservation; 0 when the disk is not reserved.
	Holder Key  `json:"holder"`
	Type   Type `json:"type"`
}

// Device is one path to a disk, as one host has it. The commands follow SPC-4; ErrConflict is RESERVATION CONFLICT, ErrAttention a
// UNIT ATTENTION, which says nothing about the command and asks for a retry.
type Device interface {
	// Name is the device's path, for messages.
	Name() string
	ReadStatus(ctx context.Context) (Status, error)
	// Register changes this path's key from old (0: not registered) to key (0: unregister); a wrong old is a conflict.
	Register(ctx context.Context, old, key Key) error
	// RegisterIgnore registers key, whatever this path had before.
	RegisterIgnore(ctx context.Context, key Key) error
	Reserve(ctx context.Context, key Key) error
	Release(ctx context.Context, key Key) error
	// PreemptAbort removes the victim's registrations, aborts its commands, and takes the reservation if the victim held it.
	PreemptAbort(ctx context.Context, key, victim Key) error
	// Clear removes every registration and the reservation; only an operator's own verb uses it.
	Clear(ctx context.Context, key Key) error
	// LUNReset aborts every host's commands and leaves registrations and reservation alone.
	LUNReset(ctx context.Context) error
}

// Identified is a Device that can tell the disk's own name: the same on every host and path, and another for every disk.
type Identified interface {
	// Identity asks the disk, not what the kernel remembers of it: such as naa.6001405... or eui.0025...
	Identity(ctx context.Context) (string, error)
}

// Identity returns the disk's own name.
func Identity(ctx context.Context, dev Device) (string, error) {
	d, ok := dev.(Identified)
	if !ok {
		return "", fmt.Errorf("%s has no name of its own", dev.Name())
	}
	name, err := d.Identity(ctx)
	if err != nil {
		return "", fmt.Errorf("asking %s for its name: %w", dev.Name(), err)
	}
	return name, nil
}

// pathKeeper is a Device with several paths, which come and go while the disk is held (O18).
type pathKeeper interface {
	// KeepPaths is called whenever the disk was found to be me's alone.
	KeepPaths(ctx context.Context, me Key) error
}

func keepPaths(ctx context.Context, dev Device, me Key) error {
	if k, ok := dev.(pathKeeper); ok {
		return k.KeepPaths(ctx, me)
	}
	return nil
}

// ErrConflict is RESERVATION CONFLICT: the state on the disk is not what the command assumed.
var ErrConflict = errors.New("reservation conflict")

// ErrAttention is UNIT ATTENTION.
var ErrAttention = errors.New("unit attention")

// ErrLost says that another node holds the disk, or that this node's key is gone from it.
var ErrLost = errors.New("the disk's reservation is lost")

// ErrContended says that the disk did not come to rest within the protocol's bound.
var ErrContended = errors.New("the disk's reservation does not settle")

// StaleError says that the disk carries a higher epoch of this cluster, or an equal one of another node (rule O20): the assignment
// that is being carried out is out of date.
type StaleError struct {
	Device string
	// Epoch is the highest epoch on the disk, Node who wrote it.
	Epoch model.Epoch
	Node  model.NodeID
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("disk %s carries epoch %d of node %d: this assignment is stale", e.Device, e.Epoch, e.Node)
}

// ForeignError says that the disk carries a key that is not of this cluster; it is never removed without the operator's word.
type ForeignError struct {
	Device string
	Key    Key
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("disk %s carries the foreign reservation key %s: it belongs to another cluster or program; "+
		"clear it there, or with the operator's own verb", e.Device, e.Key)
}
