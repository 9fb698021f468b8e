package array

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// AttrState is the extended attribute that reads a disk's registrations and reservation, as JSON of [State].
const AttrState = "user.quorate.pr"

// AttrCommand is the extended attribute whose setting carries out a [Command], given as JSON. Errors: EBADE is a reservation
// conflict, EIO a failed path, EINVAL a command that makes no sense.
const AttrCommand = "user.quorate.pr.out"

// Key is a reservation key; its JSON form is 0x and 16 hexadecimal digits, so that no reader rounds it.
type Key uint64

// MarshalText writes the key as 0x and 16 digits.
func (k Key) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "0x%016x", uint64(k)), nil }

// UnmarshalText reads a key in any notation that Go knows; an empty text is 0.
func (k *Key) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*k = 0
		return nil
	}
	value, err := strconv.ParseUint(string(text), 0, 64)
	if err != nil {
		return fmt.Errorf("reservation key %q: %w", text, err)
	}
	*k = Key(value)
	return nil
}

// State is what a host reads of a disk: PERSISTENT RESERVE IN's READ KEYS, READ RESERVATION and REPORT CAPABILITIES in one.
type State struct {
	// Enforced says that the array refuses writes, so that a preempt is a proof.
	Enforced bool `json:"enforced"`
	// PersistThroughPowerLoss says that registrations survive the array's own power loss.
	PersistThroughPowerLoss bool `json:"ptpl"`
	// Generation grows with each change of registrations.
	Generation uint32 `json:"generation"`
	// Keys has one entry per registered host, ordered by host name.
	Keys []Key `json:"keys"`
	// Holder is the holder's key, empty while there is no reservation.
	Holder string `json:"holder"`
	// Type is the reservation's type, 0 while there is none.
	Type Type `json:"type"`
}

// Command is what a host writes to act on a disk's reservation.
type Command struct {
	Service    Service `json:"service"`
	Key        Key     `json:"key"`
	ServiceKey Key     `json:"serviceKey"`
	Type       Type    `json:"type"`
}

func (r *reservations) state() State {
	s := State{Enforced: true, PersistThroughPowerLoss: true, Generation: r.generation, Keys: []Key{}}
	for _, host := range slices.Sorted(maps.Keys(r.keys)) {
		s.Keys = append(s.Keys, Key(r.keys[host]))
	}
	if r.holder != "" {
		text, _ := Key(r.keys[r.holder]).MarshalText() // never fails
		s.Holder, s.Type = string(text), r.kind
	}
	return s
}

func parseCommand(data []byte) (Command, error) {
	var c Command
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("reservation command: %w", err)
	}
	return c, nil
}
