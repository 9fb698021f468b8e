package nvme

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// Opcodes of the commands.
const (
	opRegister = 0x0d
	opReport   = 0x0e
	opAcquire  = 0x11
	opRelease  = 0x15
)

// Actions within the commands.
const (
	registerNew     = 0
	registerRemove  = 1
	registerReplace = 2
	acquireReserve  = 0
	acquirePreempt  = 2 // and abort
	releaseRelease  = 0
	releaseClear    = 1
)

const (
	ignoreKey = 1 << 3
	// persist asks the namespace to keep registrations and reservation through a power loss.
	persist = 3 << 30
	// typeShift is where the reservation type goes.
	typeShift = 8
	// TypeRegistrantsOnly is Write Exclusive - Registrants Only in NVMe's numbering.
	TypeRegistrantsOnly = 3
)

// Command is one command to a namespace.
type Command struct {
	// Name of the command, for messages.
	Name         string
	Opcode       byte
	CDW10, CDW11 uint32
	// Out is what is sent; In the number of bytes that come back. Only one of them is used.
	Out []byte
	In  int
}

// Transport carries commands to one namespace. The status is NVMe's (type and code); an error means that it is not known whether the
// command arrived.
type Transport interface {
	Do(ctx context.Context, c Command) (status uint16, data []byte, err error)
}

func register(action, flags uint32, key, newKey uint64) Command {
	return Command{Name: "Reservation Register", Opcode: opRegister, CDW10: action | flags, Out: pair(key, newKey)}
}

// Register registers key, if this host has none.
func Register(key uint64) Command { return register(registerNew, persist, 0, key) }

// Replace changes the key from old to key.
func Replace(old, key uint64) Command { return register(registerReplace, persist, old, key) }

// RegisterIgnore registers key on a host that has none; ReplaceIgnore on one that has, whatever it is. Which of them is due is not
// known before: a controller refuses the other one with a conflict.
func RegisterIgnore(key uint64) Command { return register(registerNew, persist|ignoreKey, 0, key) }

// ReplaceIgnore is the other half of RegisterIgnore.
func ReplaceIgnore(key uint64) Command { return register(registerReplace, persist|ignoreKey, 0, key) }

// Unregister removes this host's key, which must be old.
func Unregister(old uint64) Command { return register(registerRemove, 0, old, 0) }

// Reserve takes a free reservation.
func Reserve(key uint64) Command {
	return Command{Name: "Reservation Acquire", Opcode: opAcquire, CDW10: acquireReserve | TypeRegistrantsOnly<<typeShift, Out: pair(key, 0)}
}

// PreemptAbort removes the victim's registrations, aborts its commands, and takes the reservation if the victim held it.
func PreemptAbort(key, victim uint64) Command {
	return Command{
		Name: "Reservation Acquire (preempt and abort)", Opcode: opAcquire,
		CDW10: acquirePreempt | TypeRegistrantsOnly<<typeShift, Out: pair(key, victim),
	}
}

// Release gives the reservation up.
func Release(key uint64) Command {
	return Command{Name: "Reservation Release", Opcode: opRelease, CDW10: releaseRelease | TypeRegistrantsOnly<<typeShift, Out: pair(key, 0)[:8]}
}

// Clear removes every registration.
func Clear(key uint64) Command {
	return Command{Name: "Reservation Release (clear)", Opcode: opRelease, CDW10: releaseClear, Out: pair(key, 0)[:8]}
}

func pair(a, b uint64) []byte {
	raw := make([]byte, 16)
	binary.LittleEndian.PutUint64(raw, a)
	binary.LittleEndian.PutUint64(raw[8:], b)
	return raw
}

// reportLength has room for more than 60 hosts; a report that does not fit is asked for again.
const reportLength = 4096

func report(length int, extended bool) Command {
	c := Command{Name: "Reservation Report", Opcode: opReport, CDW10: uint32(length/4 - 1), In: length}
	if extended {
		c.CDW11 = 1
	}
	return c
}

// What a status can mean.
var (
	// ErrConflict is Reservation Conflict.
	ErrConflict = errors.New("reservation conflict")
	// ErrAgain says nothing about the command: it is to be sent again.
	ErrAgain = errors.New("the namespace asks for a retry")
	// ErrUnsupported says that the controller does not know the command, or not with these parameters.
	ErrUnsupported = errors.New("the controller refuses the command")
	// ErrPath says that the command did not get through.
	ErrPath = errors.New("the path to the namespace fails")
)

// Status codes, with their type in the upper bits.
const (
	statusInvalidOpcode  = 0x001
	statusInvalidField   = 0x002
	statusAbortRequested = 0x007
	statusAbortDeleted   = 0x008
	statusInvalidSpace   = 0x00b
	statusHostIDFormat   = 0x018
	statusNotReady       = 0x082
	statusConflict       = 0x083
	statusAccessChange   = 0x303
	pathStatus           = 0x300
	statusMask           = 0x7ff
	typeMask             = 0x700
)

// Check says what a status means; nil is success.
func Check(status uint16) error {
	switch s := status & statusMask; {
	case s == 0:
		return nil
	case s == statusConflict:
		return ErrConflict
	case s == statusAbortRequested, s == statusAbortDeleted, s == statusNotReady, s == statusAccessChange:
		return fmt.Errorf("%w: status %#03x", ErrAgain, s)
	case s == statusInvalidOpcode, s == statusInvalidField, s == statusInvalidSpace, s == statusHostIDFormat:
		return fmt.Errorf("%w: status %#03x", ErrUnsupported, s)
	case s&typeMask == pathStatus:
		return fmt.Errorf("%w: status %#03x", ErrPath, s)
	default:
		return fmt.Errorf("the controller answers with status %#03x", s)
	}
}
