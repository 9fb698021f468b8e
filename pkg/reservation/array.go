package reservation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Service names a command of PERSISTENT RESERVE OUT, or a LOGICAL UNIT RESET, in the emulation's language.
type Service string

// Services of the emulation.
const (
	ServiceRegister       Service = "register"
	ServiceRegisterIgnore Service = "register-ignore"
	ServiceReserve        Service = "reserve"
	ServiceRelease        Service = "release"
	ServicePreemptAbort   Service = "preempt-abort"
	ServiceClear          Service = "clear"
	ServiceLUNReset       Service = "lun-reset"
)

// Command is one PERSISTENT RESERVE OUT: Key is the reservation key that the sender claims, ServiceKey the service action's.
type Command struct {
	Service    Service `json:"service"`
	Key        Key     `json:"key"`
	ServiceKey Key     `json:"serviceKey"`
	Type       Type    `json:"type,omitempty"`
}

// ErrInvalid says that the command itself is wrong.
var ErrInvalid = errors.New("invalid reservation command")

// Array is the target's side: who is registered and who holds the reservation. The zero value is an unreserved disk. It is plain
// data without a lock.
type Array struct {
	Generation uint32 `json:"generation"`
	// Registrations by nexus: which host (and port) has which key.
	Registrations map[string]Key `json:"registrations,omitempty"`
	// Holder is the nexus that holds the reservation; empty when none does.
	Holder string `json:"holder,omitempty"`
	Type   Type   `json:"type,omitempty"`
}

// Status is what a host reads. Enforced and PTPL are left for the caller to fill.
func (a *Array) Status() Status {
	s := Status{Generation: a.Generation, Keys: slices.Sorted(maps.Values(a.Registrations))}
	if a.Holder != "" {
		s.Holder, s.Type = a.Registrations[a.Holder], a.Type
	}
	return s
}

// MayWrite reports whether a write from the nexus passes the reservation.
func (a *Array) MayWrite(nexus string) bool {
	return a.Holder == "" || a.Registrations[nexus] != 0
}

// Do carries out a command that came from nexus. It returns the nexuses whose commands in flight must be aborted. The error is
// ErrConflict, or ErrInvalid; then nothing has changed.
func (a *Array) Do(nexus string, c Command) (aborted []string, err error) {
	mine := a.Registrations[nexus]
	switch c.Service {
	case ServiceLUNReset:
		return nil, nil
	case ServiceRegister, ServiceRegisterIgnore:
		if c.Service == ServiceRegister && c.Key != mine {
			return nil, ErrConflict
		}
		a.register(nexus, c.ServiceKey)
		return nil, nil
	case ServiceReserve, ServiceRelease, ServicePreemptAbort, ServiceClear:
		if mine == 0 || mine != c.Key {
			return nil, ErrConflict
		}
	default:
		return nil, fmt.Errorf("%w: unknown service %q", ErrInvalid, c.Service)
	}
	return a.asRegistrant(nexus, c)
}

// asRegistrant carries out the commands that only a registered nexus may send.
func (a *Array) asRegistrant(nexus string, c Command) ([]string, error) {
	if c.Service != ServiceClear && c.Type != WriteExclusiveRegistrantsOnly {
		return nil, fmt.Errorf("%w: type %d is not supported, want %d", ErrInvalid, c.Type, WriteExclusiveRegistrantsOnly)
	}
	switch c.Service {
	case ServiceReserve:
		if a.Holder != "" && a.Holder != nexus {
			return nil, ErrConflict
		}
		a.Holder, a.Type = nexus, c.Type
	case ServiceRelease:
		// A registrant that does not hold the reservation is told GOOD, and nothing happens (SPC-4 5.13.11.2.2).
		if a.Holder == nexus {
			a.free()
		}
	case ServicePreemptAbort:
		return a.preempt(nexus, c)
	default: // ServiceClear
		a.Registrations = nil
		a.free()
		a.Generation++
	}
	return nil, nil
}

func (a *Array) register(nexus string, key Key) {
	a.Generation++
	if key != 0 {
		if a.Registrations == nil {
			a.Registrations = map[string]Key{}
		}
		a.Registrations[nexus] = key
		return
	}
	delete(a.Registrations, nexus)
	if a.Holder == nexus {
		a.free()
	}
}

func (a *Array) preempt(nexus string, c Command) ([]string, error) {
	if c.ServiceKey == 0 {
		return nil, fmt.Errorf("%w: preempt of key 0", ErrInvalid)
	}
	var victims []string
	for n, k := range a.Registrations {
		if k == c.ServiceKey && n != nexus {
			victims = append(victims, n)
		}
	}
	ofHolder := a.Holder != "" && a.Registrations[a.Holder] == c.ServiceKey
	if len(victims) == 0 && !ofHolder {
		return nil, ErrConflict
	}
	slices.Sort(victims)
	for _, n := range victims {
		delete(a.Registrations, n)
	}
	if ofHolder {
		a.Holder, a.Type = nexus, c.Type
	}
	a.Generation++
	return victims, nil
}

func (a *Array) free() { a.Holder, a.Type = "", 0 }
