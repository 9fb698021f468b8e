package scsi

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// Keys is the reply to READ KEYS.
type Keys struct {
	Generation uint32
	Keys       []uint64
	// Missing is how many bytes of keys the disk has that did not fit the buffer.
	Missing int
}

// prHeader is what the replies to PERSISTENT RESERVE IN (but REPORT CAPABILITIES) begin with: generation and length of the rest.
const prHeader = 8

func header(raw []byte) (generation uint32, body []byte, missing int, err error) {
	if len(raw) < prHeader {
		return 0, nil, 0, fmt.Errorf("a reply of %d bytes is too short", len(raw))
	}
	generation = binary.BigEndian.Uint32(raw)
	length := int64(binary.BigEndian.Uint32(raw[4:]))
	body = raw[prHeader:]
	if length <= int64(len(body)) {
		return generation, body[:length], 0, nil
	}
	return generation, body, int(length - int64(len(body))), nil
}

// ParseKeys reads the reply to READ KEYS.
func ParseKeys(raw []byte) (Keys, error) {
	generation, body, missing, err := header(raw)
	if err != nil {
		return Keys{}, err
	}
	if missing == 0 && len(body)%8 != 0 {
		return Keys{}, fmt.Errorf("a list of keys of %d bytes, which is no multiple of 8", len(body))
	}
	k := Keys{Generation: generation, Missing: missing}
	for ; len(body) >= 8; body = body[8:] {
		k.Keys = append(k.Keys, binary.BigEndian.Uint64(body))
	}
	return k, nil
}

// Reservation is the reply to READ RESERVATION.
type Reservation struct {
	Generation uint32
	// Held says that there is one; then Holder is its key and Type its type.
	Held   bool
	Holder uint64
	Type   byte
}

// ParseReservation reads the reply to READ RESERVATION.
func ParseReservation(raw []byte) (Reservation, error) {
	generation, body, missing, err := header(raw)
	if err != nil {
		return Reservation{}, err
	}
	r := Reservation{Generation: generation}
	switch {
	case len(body) == 0 && missing == 0:
		return r, nil
	case len(body) < 16:
		return Reservation{}, fmt.Errorf("a reservation of %d bytes, want 16", len(body))
	}
	r.Held, r.Holder, r.Type = true, binary.BigEndian.Uint64(body), body[13]&0x0f
	if scope := body[13] >> 4; scope != 0 {
		return Reservation{}, fmt.Errorf("a reservation of scope %d, not of the whole disk", scope)
	}
	return r, nil
}

// Capabilities is the reply to REPORT CAPABILITIES.
type Capabilities struct {
	// PTPLCapable says that the disk can keep registrations through a power loss, PTPLActive that it does.
	PTPLCapable, PTPLActive bool
	// Types is the mask of the supported reservation types, if TypesValid.
	TypesValid bool
	Types      uint16
}

// maskRegistrantsOnly is the bit of Write Exclusive - Registrants Only in the mask of types.
const maskRegistrantsOnly = 1 << 13

// Supports reports whether Write Exclusive - Registrants Only is among the types, as far as the disk says.
func (c Capabilities) Supports() bool { return !c.TypesValid || c.Types&maskRegistrantsOnly != 0 }

// ParseCapabilities reads the reply to REPORT CAPABILITIES.
func ParseCapabilities(raw []byte) (Capabilities, error) {
	if len(raw) < 8 {
		return Capabilities{}, fmt.Errorf("capabilities of %d bytes, want 8", len(raw))
	}
	return Capabilities{
		PTPLCapable: raw[2]&0x01 != 0, PTPLActive: raw[3]&0x01 != 0,
		TypesValid: raw[3]&0x80 != 0, Types: binary.BigEndian.Uint16(raw[4:]),
	}, nil
}

// Registrant is one entry of READ FULL STATUS: a path from an initiator to a port of the target.
type Registrant struct {
	Key uint64
	// Holder says that this path holds the reservation.
	Holder bool
	Type   byte
	// AllPorts says that the registration counts for all ports of the target, else Port is the one.
	AllPorts bool
	Port     uint16
	// Initiator is the transport's name of the host's port, as the disk writes it.
	Initiator []byte
}

// ParseFullStatus reads the reply to READ FULL STATUS.
func ParseFullStatus(raw []byte) (generation uint32, list []Registrant, err error) {
	const fixed = 24
	generation, body, missing, err := header(raw)
	if err != nil {
		return 0, nil, err
	}
	if missing > 0 {
		return 0, nil, fmt.Errorf("the full status lacks its last %d bytes", missing)
	}
	for len(body) > 0 {
		if len(body) < fixed {
			return 0, nil, fmt.Errorf("the full status ends in the middle of an entry")
		}
		length := int64(binary.BigEndian.Uint32(body[20:]))
		if length > int64(len(body)-fixed) {
			return 0, nil, fmt.Errorf("the full status ends in the middle of an entry")
		}
		list = append(list, Registrant{
			Key: binary.BigEndian.Uint64(body), Holder: body[12]&1 != 0, Type: body[13] & 0x0f,
			AllPorts: body[12]&2 != 0, Port: binary.BigEndian.Uint16(body[18:]), Initiator: body[fixed : fixed+length],
		})
		body = body[fixed+length:]
	}
	return generation, list, nil
}

// Designators of VPD page 0x83.
const (
	pageIdentification = 0x83
	designatorT10      = 1
	designatorEUI64    = 2
	designatorNAA      = 3
	designatorName     = 8
	codeBinary         = 1
)

// ParseIdentification reads VPD page 0x83 and returns the name of the logical unit that is unique in the world, in the kernel's
// notation such as naa.600140512345678: an NAA designator before an EUI-64, a SCSI name and a vendor's own.
func ParseIdentification(raw []byte) (string, error) {
	if len(raw) < 4 || raw[1] != pageIdentification {
		return "", errors.New("the disk's reply is no device identification page")
	}
	list := raw[4:min(len(raw), 4+int(binary.BigEndian.Uint16(raw[2:])))]
	best, rank := "", 0
	for len(list) >= 4 {
		length := int(list[3])
		if length > len(list)-4 {
			return "", errors.New("the device identification page ends in the middle of an entry")
		}
		if name, r := designator(list[:4], list[4:4+length]); r > rank {
			best, rank = name, r
		}
		list = list[4+length:]
	}
	if best == "" {
		return "", errors.New("the disk has no name of its own (VPD page 0x83 names no logical unit)")
	}
	return best, nil
}

// designator names a logical unit; a rank of 0 says that it is of no use.
func designator(head, value []byte) (name string, rank int) {
	if association := head[1] >> 4 & 3; association != 0 || len(value) == 0 {
		return "", 0 // of the port or the target
	}
	code := head[0] & 0x0f
	switch kind := head[1] & 0x0f; {
	case kind == designatorNAA && code == codeBinary:
		return "naa." + hex.EncodeToString(value), 4
	case kind == designatorEUI64 && code == codeBinary:
		return "eui." + hex.EncodeToString(value), 3
	case kind == designatorName:
		return "name." + hex.EncodeToString(value), 2
	case kind == designatorT10:
		return "t10." + hex.EncodeToString(value), 1
	default:
		return "", 0
	}
}
