package heartbeat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/quorate/quorate/pkg/model"
)

// Versions is a range of versions of the protocol, both ends included.
type Versions struct {
	Lowest, Highest uint8
}

// Supported are the versions that this build understands.
var Supported = Versions{Lowest: 1, Highest: 3}

// Zero reports whether nothing is known.
func (v Versions) Zero() bool { return v == Versions{} }

// Has reports whether a version is in the range.
func (v Versions) Has(version uint8) bool { return v.Lowest <= version && version <= v.Highest }

// Common returns the highest version of both ranges; 0 when they have none in common.
func (v Versions) Common(o Versions) uint8 {
	if highest := min(v.Highest, o.Highest); highest >= max(v.Lowest, o.Lowest) {
		return highest
	}
	return 0
}

// String is "2" or "2 to 4".
func (v Versions) String() string {
	if v.Lowest == v.Highest {
		return fmt.Sprint(v.Lowest)
	}
	return fmt.Sprintf("%d to %d", v.Lowest, v.Highest)
}

// KeyID names a key without telling it: the first bytes of an HMAC under it.
type KeyID uint32

// KeyIDOf returns the id of a key.
func KeyIDOf(key []byte) KeyID {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("quorate heartbeat key id"))
	return KeyID(binary.BigEndian.Uint32(mac.Sum(nil)))
}

// Envelope is what every version can tell of a datagram, whether it understands the body or not.
type Envelope struct {
	// Version of the body.
	Version uint8
	// Understood are the versions that the sender understands; zero when it cannot say so (version 1).
	Understood Versions
	From       model.NodeID
	// Incarnation and Sequence are the message's.
	Incarnation, Sequence uint64
	// Keys are the ids of the keys that the sender accepts, newest first; empty when it cannot say so (version 1).
	Keys []KeyID
}

const (
	magic = "QRHB"
	// legacyVersion has no envelope but magic, version and cluster id.
	legacyVersion = 1
	prefixSize    = len(magic) + 1 + 8
	// fixedSize is the envelope's without the keys.
	fixedSize = len(magic) + 3 + 8 + 2 + 8 + 8 + 1
	keyIDSize = 4
)

func appendPrefix(b []byte, cluster uint64) []byte {
	b = append(b, magic...)
	b = append(b, legacyVersion)
	return binary.BigEndian.AppendUint64(b, cluster)
}

func appendEnvelope(b []byte, cluster uint64, e *Envelope) []byte {
	b = append(b, magic...)
	b = append(b, e.Version, e.Understood.Lowest, e.Understood.Highest)
	b = binary.BigEndian.AppendUint64(b, cluster)
	b = binary.BigEndian.AppendUint16(b, uint16(e.From))
	b = binary.BigEndian.AppendUint64(b, e.Incarnation)
	b = binary.BigEndian.AppendUint64(b, e.Sequence)
	b = append(b, byte(len(e.Keys)))
	for _, id := range e.Keys {
		b = binary.BigEndian.AppendUint32(b, uint32(id))
	}
	return b
}

// readEnvelope reads what is before the body into e, and returns the cluster and the body. It checks shape only: the caller
// authenticates before it uses any of it. The envelope of version 1 has neither sender nor sequence: those are in its body.
func readEnvelope(signed []byte, e *Envelope) (cluster uint64, body []byte, err error) {
	keys := e.Keys[:0]
	*e = Envelope{}
	r := reader{b: signed[len(magic):]}
	if e.Version = r.byte(); e.Version == legacyVersion {
		cluster = r.uint64()
		e.Keys = keys
		return cluster, r.b, shape(&r)
	}
	e.Understood = Versions{Lowest: r.byte(), Highest: r.byte()}
	cluster = r.uint64()
	e.From = model.NodeID(r.uint16())
	e.Incarnation, e.Sequence = r.uint64(), r.uint64()
	count := r.byte()
	r.failed = r.failed || count == 0 || count > maxKeys
	for i := byte(0); i < count && !r.failed; i++ {
		keys = append(keys, KeyID(r.uint32()))
	}
	e.Keys = keys
	return cluster, r.b, shape(&r)
}

func shape(r *reader) error {
	if r.failed {
		return fmt.Errorf("%w: the envelope is cut short or out of bounds", ErrGarbled)
	}
	return nil
}

// checkEnvelope holds the bounds of an envelope that has been authenticated.
func checkEnvelope(e *Envelope) error {
	switch {
	case !validID(e.From):
		return fmt.Errorf("sender %d is not in 1..%d", e.From, model.MaxNodeID)
	case e.Incarnation == 0 || e.Sequence == 0:
		return fmt.Errorf("incarnation %d, sequence %d: none may be 0", e.Incarnation, e.Sequence)
	case e.Understood.Lowest == 0 || !e.Understood.Has(e.Version):
		return fmt.Errorf("version %d is not among those that the sender understands, %s", e.Version, e.Understood)
	}
	return nil
}
