package heartbeat

import (
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/quorum"
)

// The flags are the same in all versions so far.

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
	return flags
}

// messageFlags reads them into a message, and returns them for what they say of the rest of the body.
func (r *reader) messageFlags(m *membership.Message) uint16 {
	flags := r.uint16()
	r.failed = r.failed || flags >= flagsEnd
	m.NotReady, m.Leaving = flags&flagNotReady != 0, flags&flagLeaving != 0
	m.Released, m.ReachesAPI = flags&flagReleased != 0, flags&flagReachesAPI != 0
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

func recordFlags(r *quorum.Record) byte {
	if r.WitnessVotes {
		return recordWitness
	}
	return 0
}

func (r *reader) recordFlags(into *quorum.Record) {
	into.WitnessVotes = r.flags(recordEnd)&recordWitness != 0
}
