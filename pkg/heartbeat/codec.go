package heartbeat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Version of the protocol. A datagram of another version is dropped: nodes of different versions do not see each other.
const Version = 1

const (
	magic      = "QRHB"
	prefixSize = len(magic) + 1 + 8
	macSize    = sha256.Size
	// minKey is the shortest key that is accepted, in bytes.
	minKey = 16
	// maxKeys is how many keys may be in force at once.
	maxKeys = 2
	// maxList bounds every list of nodes in a datagram: a cluster has at most 64 nodes.
	maxList = 64
	// maxHold bounds the sender's T: 10 s x 120 is the largest that the API allows.
	maxHold = 20 * time.Minute
)

// Flags of a message; bits that are not named here must be 0.
const (
	flagNotReady = 1 << iota
	flagLeaving
	flagReleased
	flagReachesAPI
	flagView
	flagCommitted
	flagTentative
	flagsEnd
)

// Flags of an entry of Heard and of a record.
const (
	heardAlive = 1 << iota
	heardGrant
	heardEnd

	recordWitness = 1
	recordEnd     = 2
)

// Codec encodes and decodes the datagrams of one cluster. It is not safe for concurrent use.
type Codec struct {
	clusterID uint64
	keys      [][]byte
}

// NewCodec checks the keys: one or two, the first signs and all are accepted.
func NewCodec(clusterID uint64, keys [][]byte) (Codec, error) {
	if len(keys) == 0 || len(keys) > maxKeys {
		return Codec{}, fmt.Errorf("heartbeat: %d keys, need one, or two during a rotation", len(keys))
	}
	for i, key := range keys {
		if len(key) < minKey {
			return Codec{}, fmt.Errorf("heartbeat: key %d has %d bytes, fewer than %d", i+1, len(key), minKey)
		}
	}
	return Codec{clusterID: clusterID, keys: keys}, nil
}

// Append appends the datagram of a message to b. It refuses what Decode would.
func (c Codec) Append(b []byte, m membership.Message) ([]byte, error) {
	if err := check(m); err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	start := len(b)
	b = append(b, magic...)
	b = append(b, Version)
	b = binary.BigEndian.AppendUint64(b, c.clusterID)
	b = appendMessage(b, m)
	if len(b)-start+macSize > maxDatagram {
		return nil, fmt.Errorf("heartbeat: message of %d bytes is larger than %d", len(b)-start+macSize, maxDatagram)
	}
	mac := hmac.New(sha256.New, c.keys[0])
	mac.Write(b[start:])
	return mac.Sum(b), nil
}

// Decode returns the message of a datagram, or an error that wraps ErrGarbled, ErrVersion, ErrCluster or ErrForged. The message
// shares nothing with the datagram.
func (c Codec) Decode(datagram []byte) (membership.Message, error) {
	var none membership.Message
	switch {
	case len(datagram) < prefixSize+macSize:
		return none, fmt.Errorf("%w: %d bytes", ErrGarbled, len(datagram))
	case len(datagram) > maxDatagram:
		return none, fmt.Errorf("%w: more than %d bytes", ErrGarbled, maxDatagram)
	case string(datagram[:len(magic)]) != magic:
		return none, fmt.Errorf("%w: not a heartbeat", ErrGarbled)
	case datagram[len(magic)] != Version:
		return none, fmt.Errorf("%w: %d, this is %d", ErrVersion, datagram[len(magic)], Version)
	}
	if id := binary.BigEndian.Uint64(datagram[len(magic)+1:]); id != c.clusterID {
		return none, fmt.Errorf("%w: %016x, this is %016x", ErrCluster, id, c.clusterID)
	}
	signed, sum := datagram[:len(datagram)-macSize], datagram[len(datagram)-macSize:]
	if !c.authentic(signed, sum) {
		return none, ErrForged
	}
	r := reader{b: signed[prefixSize:]}
	m := r.message()
	if r.failed || len(r.b) > 0 {
		return none, fmt.Errorf("%w: the message is cut short or too long", ErrGarbled)
	}
	if err := check(m); err != nil {
		return none, fmt.Errorf("%w: %w", ErrGarbled, err)
	}
	return m, nil
}

func (c Codec) authentic(signed, sum []byte) bool {
	for _, key := range c.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write(signed)
		if hmac.Equal(mac.Sum(nil), sum) {
			return true
		}
	}
	return false
}

// check holds the bounds of a message, so that no later step meets a value that it was not made for.
func check(m membership.Message) error {
	if err := checkMembers(m); err != nil {
		return err
	}
	switch {
	case !validID(m.From):
		return fmt.Errorf("sender %d is not in 1..%d", m.From, model.MaxNodeID)
	case m.Incarnation == 0 || m.Generation == 0 || m.Sequence == 0:
		return fmt.Errorf("incarnation %d, generation %d, sequence %d: none may be 0", m.Incarnation, m.Generation, m.Sequence)
	case m.Hold <= 0 || m.Hold > maxHold:
		return fmt.Errorf("hold %s is not in 0..%s", m.Hold, maxHold)
	case len(m.Heard) > maxList:
		return fmt.Errorf("%d entries of heard, more than %d", len(m.Heard), maxList)
	}
	for i, h := range m.Heard {
		if !validID(h.ID) || (i > 0 && m.Heard[i-1].ID >= h.ID) {
			return fmt.Errorf("heard: node %d is out of range or order", h.ID)
		}
	}
	for _, r := range []*quorum.Record{m.Committed, m.Tentative} {
		if err := checkRecord(r); err != nil {
			return err
		}
	}
	return nil
}

func validID(id model.NodeID) bool { return id > 0 && id <= model.MaxNodeID }

// checkRecord takes nil for no record.
func checkRecord(r *quorum.Record) error {
	if r == nil {
		return nil
	}
	if r.Number == 0 || len(r.Voters) > maxList || r.Coordinator > model.MaxNodeID {
		return fmt.Errorf("vote record %s is out of bounds", r)
	}
	for i, id := range r.Voters {
		if !validID(id) || (i > 0 && r.Voters[i-1] >= id) {
			return fmt.Errorf("vote record %s: voter %d is out of range or order", r, id)
		}
	}
	return nil
}

func checkMembers(m membership.Message) error {
	lists := map[string][]model.Member{"proposal": m.Proposal}
	if m.View != nil {
		lists["view"] = m.View.Members
		if m.View.ID.Number == 0 || !validID(m.View.ID.Coordinator) || len(m.View.Members) == 0 {
			return fmt.Errorf("view %s of %d members is out of bounds", m.View.ID, len(m.View.Members))
		}
	}
	for name, list := range lists {
		if len(list) > maxList {
			return fmt.Errorf("%s of %d members, more than %d", name, len(list), maxList)
		}
		for i, member := range list {
			if !validID(member.ID) || (i > 0 && list[i-1].ID >= member.ID) {
				return fmt.Errorf("%s: node %d is out of range or order", name, member.ID)
			}
		}
	}
	return nil
}
