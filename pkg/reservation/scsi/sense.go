package scsi

import (
	"errors"
	"fmt"
)

// What a reply can mean. Errors of Check are one of these, or of the transport.
var (
	// ErrConflict is the status RESERVATION CONFLICT.
	ErrConflict = errors.New("reservation conflict")
	// ErrAgain says nothing about the command (UNIT ATTENTION, an abort): it is to be sent again.
	ErrAgain = errors.New("the disk asks for a retry")
	// ErrBusy is like ErrAgain, but the disk needs a moment first.
	ErrBusy = errors.New("the disk is busy")
	// ErrNotReady says that this path cannot reach the medium now, such as a standby path of an array.
	ErrNotReady = errors.New("the disk is not ready on this path")
	// ErrUnsupported is ILLEGAL REQUEST: the disk does not know the command, or not with these parameters.
	ErrUnsupported = errors.New("the disk refuses the command")
	// ErrPath says that the command did not get through.
	ErrPath = errors.New("the path to the disk fails")
)

// SCSI status bytes.
const (
	statusGood                = 0x00
	statusCheckCondition      = 0x02
	statusBusy                = 0x08
	statusReservationConflict = 0x18
	statusTaskSetFull         = 0x28
	statusTaskAborted         = 0x40
)

// Host bytes of the kernel (DID_*) after which the command is to be sent again.
var hostAgain = map[uint16]string{
	0x02: "bus busy", 0x05: "aborted", 0x08: "reset", 0x0b: "soft error", 0x0c: "immediate retry", 0x0d: "requeue",
}

// hostNames are the other host bytes that are met in the field.
var hostNames = map[uint16]string{
	0x01: "no connection", 0x03: "time-out", 0x04: "bad target", 0x07: "driver error", 0x0e: "transport disrupted",
	0x0f: "transport failed fast", 0x14: "marginal transport",
}

// Sense is what sense data says.
type Sense struct {
	// Key is the sense key, Code and Qualifier the additional sense code and its qualifier.
	Key, Code, Qualifier byte
}

// Sense keys.
const (
	senseRecovered      = 0x01
	senseNotReady       = 0x02
	senseIllegalRequest = 0x05
	senseUnitAttention  = 0x06
	senseAborted        = 0x0b
)

var senseNames = map[byte]string{
	0x00: "NO SENSE", senseRecovered: "RECOVERED ERROR", senseNotReady: "NOT READY", 0x03: "MEDIUM ERROR", 0x04: "HARDWARE ERROR",
	senseIllegalRequest: "ILLEGAL REQUEST", senseUnitAttention: "UNIT ATTENTION", 0x07: "DATA PROTECT", senseAborted: "ABORTED COMMAND",
}

func (s Sense) String() string {
	name, found := senseNames[s.Key]
	if !found {
		name = fmt.Sprintf("sense key %#x", s.Key)
	}
	return fmt.Sprintf("%s, additional sense %02x/%02x", name, s.Code, s.Qualifier)
}

// ParseSense reads sense data, fixed or with descriptors. It reports false if there is too little of it.
func ParseSense(raw []byte) (Sense, bool) {
	if len(raw) < 3 {
		return Sense{}, false
	}
	switch raw[0] & 0x7f {
	case 0x70, 0x71: // fixed: of this command, or of one before
		s := Sense{Key: raw[2] & 0x0f}
		if len(raw) > 13 {
			s.Code, s.Qualifier = raw[12], raw[13]
		}
		return s, true
	case 0x72, 0x73: // descriptors
		if len(raw) < 4 {
			return Sense{}, false
		}
		return Sense{Key: raw[1] & 0x0f, Code: raw[2], Qualifier: raw[3]}, true
	default:
		return Sense{}, false
	}
}

// Check says what became of a command; nil means that it was carried out.
func Check(r Reply) error {
	switch r.Status {
	case statusReservationConflict: // the kernel sets a host byte beside it
		return ErrConflict
	case statusBusy, statusTaskSetFull:
		return fmt.Errorf("%w: status %#02x", ErrBusy, r.Status)
	case statusTaskAborted:
		return fmt.Errorf("%w: status %#02x", ErrAgain, r.Status)
	case statusCheckCondition:
		return checkSense(r.Sense)
	}
	if name, found := hostAgain[r.Host]; found {
		return fmt.Errorf("%w: %s", ErrAgain, name)
	}
	if r.Host != 0 {
		if name, found := hostNames[r.Host]; found {
			return fmt.Errorf("%w: %s", ErrPath, name)
		}
		return fmt.Errorf("%w: host status %#x", ErrPath, r.Host)
	}
	if r.Status != statusGood {
		return fmt.Errorf("the disk answers with status %#02x", r.Status)
	}
	return nil
}

func checkSense(raw []byte) error {
	s, ok := ParseSense(raw)
	if !ok {
		return errors.New("the disk reports a CHECK CONDITION without sense data")
	}
	switch {
	case s.Key == 0, s.Key == senseRecovered:
		return nil
	case s.becoming():
		return fmt.Errorf("%w: %s", ErrBusy, s)
	case s.Key == senseUnitAttention, s.Key == senseAborted:
		return fmt.Errorf("%w: %s", ErrAgain, s)
	case s.Key == senseNotReady:
		return fmt.Errorf("%w: %s", ErrNotReady, s)
	case s.Key == senseIllegalRequest:
		return fmt.Errorf("%w: %s", ErrUnsupported, s)
	default:
		return fmt.Errorf("the disk reports %s", s)
	}
}

// becoming reports whether the disk is about to be ready, or the path in a transition of its state (ALUA).
func (s Sense) becoming() bool {
	return s.Key == senseNotReady && s.Code == 0x04 && (s.Qualifier == 0x01 || s.Qualifier == 0x0a)
}
