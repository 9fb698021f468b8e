package heartbeat

import (
	"encoding/binary"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/quorum"
)

// Version 1 knows the first of the message's flags only.

func flagsOf(m *membership.Message) uint16 {
	var flags uint16
	set := func(condition bool, flag uint16) {
		if condition {
			flags |= flag
		}
	}
	set(m.NotReady, flagNotReady)
	set(m.Leaving, flagLeaving)
	set(m.Released, flagReleased)
	set(m.ReachesAPI, flagReachesAPI)
	set(m.View != nil, flagView)
	set(m.Committed != nil, flagCommitted)
	set(m.Tentative != nil, flagTentative)
	set(m.ReachesWitness, flagReachesWitness)
	set(m.CannotServe, flagCannotServe)
	set(m.Acting, flagActing)
	set(m.Suspended.Number != 0, flagSuspended)
	set(m.Claim != nil, flagClaim)
	set(m.Pending, flagPending)
	return flags
}

// messageFlags reads those below end into a message, and returns them for what they say of the rest of the body.
func (r *reader) messageFlags(m *membership.Message, end uint16) uint16 {
	flags := r.uint16()
	r.failed = r.failed || flags >= end
	m.NotReady, m.Leaving = flags&flagNotReady != 0, flags&flagLeaving != 0
	m.Released, m.ReachesAPI = flags&flagReleased != 0, flags&flagReachesAPI != 0
	m.ReachesWitness, m.CannotServe = flags&flagReachesWitness != 0, flags&flagCannotServe != 0
	m.Acting, m.Pending = flags&flagActing != 0, flags&flagPending != 0
	return flags
}

func heardFlags(h *membership.Heard) byte {
	var flags byte
	if h.Alive {
		flags |= heardAlive
	}
	if h.Grant {
		flags |= heardGrant
	}
	return flags
}

func (r *reader) heardFlags(h *membership.Heard) {
	flags := r.flags(heardEnd)
	h.Alive, h.Grant = flags&heardAlive != 0, flags&heardGrant != 0
}

// appendRecordFlags writes a record's flags, and the witness that votes under it.
func appendRecordFlags(b []byte, r *quorum.Record) []byte {
	var flags byte
	if r.Witness != 0 {
		flags |= recordWitness
	}
	if r.WitnessOnly {
		flags |= recordWitnessOnly
	}
	if r.Forced {
		flags |= recordForced
	}
	b = append(b, flags)
	if r.Witness != 0 {
		b = binary.AppendUvarint(b, r.Witness)
	}
	return b
}

func (r *reader) recordFlags(into *quorum.Record) {
	flags := r.flags(recordEnd)
	into.WitnessOnly, into.Forced = flags&recordWitnessOnly != 0, flags&recordForced != 0
	if flags&recordWitness != 0 {
		into.Witness = r.number(anyNumber)
		r.failed = r.failed || into.Witness == 0
	}
}
