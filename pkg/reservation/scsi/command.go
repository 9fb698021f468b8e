package scsi

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
)

// Command is one command to a logical unit.
type Command struct {
	// Name of the command, for messages.
	Name string
	CDB  []byte
	// Out is the parameter list that is sent; In the number of bytes that may come back. Only one of them is used.
	Out []byte
	In  int
	// Timeout after which the kernel aborts the command.
	Timeout time.Duration
}

// Reply is what came back.
type Reply struct {
	// Status is the SCSI status byte; Host is what the kernel's host adapter driver says (DID_*), 0 when the command got through.
	Status byte
	Host   uint16
	Sense  []byte
	Data   []byte
}

// Transport carries commands to one logical unit, on one path. An error means that it is not known whether the command arrived;
// bounded.ErrHung, that it may still arrive. Do and Reset never take much longer than the command's timeout.
type Transport interface {
	Do(ctx context.Context, c Command) (Reply, error)
	// Reset sends a LOGICAL UNIT RESET.
	Reset(ctx context.Context) error
}

// Time limits. A read that takes longer than this says that the path is of no use; commands that abort others' writes take longer.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 20 * time.Second
)

const (
	opInquiry              = 0x12
	opPersistentReserveIn  = 0x5e
	opPersistentReserveOut = 0x5f
)

// Service actions of PERSISTENT RESERVE IN.
const (
	inReadKeys           = 0
	inReadReservation    = 1
	inReportCapabilities = 2
	inReadFullStatus     = 3
)

// Action is a service action of PERSISTENT RESERVE OUT.
type Action byte

// Service actions of PERSISTENT RESERVE OUT.
const (
	Register       Action = 0
	Reserve        Action = 1
	Release        Action = 2
	Clear          Action = 3
	PreemptAbort   Action = 5
	RegisterIgnore Action = 6
)

var actionNames = map[Action]string{
	Register: "REGISTER", Reserve: "RESERVE", Release: "RELEASE", Clear: "CLEAR",
	PreemptAbort: "PREEMPT AND ABORT", RegisterIgnore: "REGISTER AND IGNORE EXISTING KEY",
}

func (a Action) String() string {
	if name, found := actionNames[a]; found {
		return name
	}
	return fmt.Sprintf("service action %#x", byte(a))
}

// parameterList of PERSISTENT RESERVE OUT has this length for all actions above.
const parameterListLength = 24

// aptplFlag asks the target to keep registrations and reservation through a power loss.
const aptplFlag = 1

// PersistentReserveOut builds a command: key is the RESERVATION KEY, serviceKey the SERVICE ACTION RESERVATION KEY, kind the
// reservation type. aptpl counts for registrations only.
func PersistentReserveOut(action Action, kind byte, key, serviceKey uint64, aptpl bool) Command {
	cdb := make([]byte, 10)
	cdb[0], cdb[1], cdb[2] = opPersistentReserveOut, byte(action), kind&0x0f // scope 0: the logical unit
	binary.BigEndian.PutUint32(cdb[5:], parameterListLength)
	list := make([]byte, parameterListLength)
	binary.BigEndian.PutUint64(list[0:], key)
	binary.BigEndian.PutUint64(list[8:], serviceKey)
	if aptpl {
		list[20] |= aptplFlag
	}
	return Command{Name: action.String(), CDB: cdb, Out: list, Timeout: writeTimeout}
}

func persistentReserveIn(action byte, name string, length int) Command {
	cdb := make([]byte, 10)
	cdb[0], cdb[1] = opPersistentReserveIn, action
	binary.BigEndian.PutUint16(cdb[7:], uint16(length))
	return Command{Name: name, CDB: cdb, In: length, Timeout: readTimeout}
}

// identification asks for VPD page 0x83.
func identification() Command {
	cdb := []byte{opInquiry, 1, pageIdentification, 0, identifyLength, 0} // 1: a page of vital product data
	return Command{Name: "INQUIRY", CDB: cdb, In: identifyLength, Timeout: readTimeout}
}
