package array

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// Type is a persistent reservation's type, with SPC-4's numbers.
type Type int

// The reservation types that have one holder. Those that all registrants hold together (7 and 8) are refused.
const (
	WriteExclusive             Type = 1
	ExclusiveAccess            Type = 3
	WriteExclusiveRegistrants  Type = 5
	ExclusiveAccessRegistrants Type = 6
)

func (t Type) known() bool {
	return t == WriteExclusive || t == ExclusiveAccess || t.registrantsOnly()
}

func (t Type) registrantsOnly() bool {
	return t == WriteExclusiveRegistrants || t == ExclusiveAccessRegistrants
}

// Service is a PERSISTENT RESERVE OUT service action, or a LUN reset.
type Service string

// The services that a host can ask for.
const (
	Register       Service = "register"
	RegisterIgnore Service = "register-ignore"
	Reserve        Service = "reserve"
	Release        Service = "release"
	PreemptAbort   Service = "preempt-abort"
	Clear          Service = "clear"
	LUNReset       Service = "lun-reset"
)

// The two ways in which a command is refused.
const (
	errConflict = unix.EBADE  // RESERVATION CONFLICT
	errInvalid  = unix.EINVAL // CHECK CONDITION: the command makes no sense
)

// reservations is the state of one disk as SPC-4 5.13 describes it. The initiator is a host's name, since each host has one path.
type reservations struct {
	generation uint32
	keys       map[string]uint64
	holder     string // the host that holds the reservation, "" while there is none
	kind       Type
}

func newReservations() *reservations {
	return &reservations{keys: map[string]uint64{}}
}

// do carries out a command of a host and returns the hosts whose commands under way must be aborted.
func (r *reservations) do(host string, service Service, key, serviceKey uint64, kind Type) ([]string, error) {
	switch service {
	case Register:
		return nil, r.register(host, key, serviceKey)
	case RegisterIgnore:
		r.setKey(host, serviceKey)
		return nil, nil
	case LUNReset:
		return nil, nil // reservations survive it; the caller aborts every host's commands
	case Reserve, Release, PreemptAbort, Clear:
		if own, registered := r.keys[host]; !registered || own != key {
			return nil, errConflict
		}
		return r.doRegistered(host, service, serviceKey, kind)
	}
	return nil, errInvalid
}

// doRegistered carries out a command that only a registered host may give.
func (r *reservations) doRegistered(host string, service Service, serviceKey uint64, kind Type) ([]string, error) {
	switch service {
	case Reserve:
		return nil, r.reserve(host, kind)
	case Release:
		return nil, r.release(host, kind)
	case PreemptAbort:
		return r.preempt(host, serviceKey, kind)
	default: // Clear
		clear(r.keys)
		r.holder = ""
		r.generation++
		return nil, nil
	}
}

func (r *reservations) register(host string, key, serviceKey uint64) error {
	// A host that is not registered has key 0, which the zero value of the map gives.
	if r.keys[host] != key {
		return errConflict
	}
	r.setKey(host, serviceKey)
	return nil
}

// setKey registers a host, or with key 0 unregisters it. A holder that unregisters takes its reservation along.
func (r *reservations) setKey(host string, key uint64) {
	r.generation++
	if key != 0 {
		r.keys[host] = key
		return
	}
	delete(r.keys, host)
	if r.holder == host {
		r.holder = ""
	}
}

func (r *reservations) reserve(host string, kind Type) error {
	switch {
	case !kind.known():
		return errInvalid
	case r.holder == "":
		r.holder, r.kind = host, kind
		return nil
	case r.holder == host && r.kind == kind:
		return nil
	}
	return errConflict
}

func (r *reservations) release(host string, kind Type) error {
	switch {
	case r.holder != host:
		return nil
	case r.kind != kind:
		return errInvalid
	}
	r.holder = ""
	return nil
}

func (r *reservations) preempt(host string, victimKey uint64, kind Type) ([]string, error) {
	var victims []string
	for _, name := range slices.Sorted(maps.Keys(r.keys)) {
		if r.keys[name] == victimKey {
			victims = append(victims, name)
		}
	}
	switch {
	case victimKey == 0:
		return nil, errInvalid // only all-registrants reservations are preempted with key 0
	case len(victims) == 0:
		return nil, errConflict
	}
	holdsIt := r.holder != "" && r.keys[r.holder] == victimKey
	if holdsIt && !kind.known() {
		return nil, errInvalid
	}
	for _, name := range victims {
		if name != host {
			delete(r.keys, name)
		}
	}
	if holdsIt {
		r.holder, r.kind = host, kind
	}
	r.generation++
	return slices.DeleteFunc(victims, func(name string) bool { return name == host }), nil
}

func (r *reservations) mayWrite(host string) bool {
	if r.holder == "" || r.holder == host {
		return true
	}
	_, registered := r.keys[host]
	return r.kind.registrantsOnly() && registered
}

func (r *reservations) mayRead(host string) bool {
	exclusive := r.kind == ExclusiveAccess || r.kind == ExclusiveAccessRegistrants
	return !exclusive || r.mayWrite(host)
}
