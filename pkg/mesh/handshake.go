package mesh

import (
	"bufio"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/flynn/noise"

	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/model"
)

const (
	magic = "QRMS"
	// lowestVersion to highestVersion of the protocol are understood by this build.
	lowestVersion, highestVersion = 1, 1

	helloSize = len(magic) + 1 + 1 + 8 + 2 + 2 + 4
	// Sizes of the two messages of Noise: an ephemeral key, a tag, and in the second the version.
	firstSize  = 32 + 16
	secondSize = 32 + 16 + 1

	// pskLabel keeps what is derived here apart from everything else that is made of the key.
	pskLabel = "quorate mesh pre-shared key 1"
)

var suite = noise.NewCipherSuite(noise.DH25519, noise.CipherAESGCM, noise.HashSHA256)

// refusal is the byte that answers a handshake; 0 accepts it.
type refusal byte

const (
	accepted refusal = iota
	refusedCluster
	refusedKey
	refusedNode
	refusedVersion
)

// String is for logs and counters.
func (r refusal) String() string {
	switch r {
	case refusedCluster:
		return "OtherCluster"
	case refusedKey:
		return "UnknownKey"
	case refusedNode:
		return "UnknownNode"
	case refusedVersion:
		return "OtherVersion"
	default:
		return fmt.Sprintf("Refusal%d", byte(r))
	}
}

// Error says what to look at.
func (r refusal) Error() string {
	switch r {
	case refusedCluster:
		return "it belongs to another cluster"
	case refusedKey:
		return "it does not accept the key of this connection; a rotation of the heartbeat key that is not over would explain that"
	case refusedNode:
		return "one of the nodes does not know the other, or the address belongs to another node"
	case refusedVersion:
		return fmt.Sprintf("it understands no version of the protocol that this node does (%d to %d)", lowestVersion, highestVersion)
	default:
		return fmt.Sprintf("it was refused for reason %d, which this node does not know", byte(r))
	}
}

// errForged is a handshake, or a frame, that was not made with the key.
var errForged = errors.New("it is not authentic")

// hello is what is said in the clear.
type hello struct {
	lowest, highest byte
	cluster         uint64
	from, to        model.NodeID
	key             heartbeat.KeyID
}

func (h *hello) encode() []byte {
	b := make([]byte, 0, helloSize)
	b = append(append(b, magic...), h.lowest, h.highest)
	b = binary.BigEndian.AppendUint64(b, h.cluster)
	b = binary.BigEndian.AppendUint16(b, uint16(h.from))
	b = binary.BigEndian.AppendUint16(b, uint16(h.to))
	return binary.BigEndian.AppendUint32(b, uint32(h.key))
}

// readHello reads what encode wrote. It checks shape only.
func readHello(b []byte) (hello, error) {
	if len(b) != helloSize || string(b[:len(magic)]) != magic {
		return hello{}, errors.New("it does not begin as a connection between agents does")
	}
	b = b[len(magic):]
	h := hello{lowest: b[0], highest: b[1], cluster: binary.BigEndian.Uint64(b[2:])}
	h.from, h.to = model.NodeID(binary.BigEndian.Uint16(b[10:])), model.NodeID(binary.BigEndian.Uint16(b[12:]))
	h.key = heartbeat.KeyID(binary.BigEndian.Uint32(b[14:]))
	if h.lowest == 0 || h.lowest > h.highest {
		return hello{}, fmt.Errorf("versions %d to %d are no range", h.lowest, h.highest)
	}
	return h, nil
}

// clusterID lets two clusters that share a network tell each other's connections apart without a failure that looks like a wrong key.
func clusterID(cluster string) uint64 {
	sum := sha256.Sum256([]byte("quorate mesh cluster " + cluster))
	return binary.BigEndian.Uint64(sum[:])
}

// secret is a key of the cluster and what is derived from it.
type secret struct {
	id  heartbeat.KeyID
	psk []byte
}

// newSecret derives what a connection needs; the error is about keys that are too short.
func newSecret(key []byte, cluster string) (secret, error) {
	if len(key) < heartbeat.MinKey {
		return secret{}, fmt.Errorf("a key has %d bytes, fewer than %d", len(key), heartbeat.MinKey)
	}
	psk, err := hkdf.Key(sha256.New, key, []byte(cluster), pskLabel, 32)
	if err != nil {
		return secret{}, fmt.Errorf("deriving the key of connections: %w", err)
	}
	return secret{id: heartbeat.KeyIDOf(key), psk: psk}, nil
}

func newState(initiator bool, greeting []byte, cluster string, psk []byte) (*noise.HandshakeState, error) {
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: suite, Pattern: noise.HandshakeNN, Initiator: initiator, PresharedKey: psk,
		Prologue: append(append([]byte{}, greeting...), cluster...),
	})
	if err != nil {
		return nil, fmt.Errorf("beginning the handshake: %w", err)
	}
	return state, nil
}

// initiate is the dialing side. The connection's deadline bounds it. A refusal is the error when the other side says why not.
func initiate(conn net.Conn, cluster string, self, peer model.NodeID, key secret) (*secured, error) {
	h := hello{lowest: lowestVersion, highest: highestVersion, cluster: clusterID(cluster), from: self, to: peer, key: key.id}
	greeting := h.encode()
	state, err := newState(true, greeting, cluster, key.psk)
	if err != nil {
		return nil, err
	}
	first, _, _, err := state.WriteMessage(greeting, nil)
	if err != nil {
		return nil, fmt.Errorf("making the first message: %w", err)
	}
	if _, err := conn.Write(first); err != nil {
		return nil, fmt.Errorf("sending the first message: %w", err)
	}
	reader := bufio.NewReaderSize(conn, readBuffer)
	code, err := reader.ReadByte()
	if err != nil {
		return nil, fmt.Errorf("waiting for the answer: %w", err)
	}
	if refusal(code) != accepted {
		return nil, refusal(code)
	}
	second := make([]byte, secondSize)
	if _, err := io.ReadFull(reader, second); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	payload, send, receive, err := state.ReadMessage(nil, second)
	if err != nil {
		return nil, fmt.Errorf("the answer: %w: %w", errForged, err)
	}
	if version := payload[0]; version < lowestVersion || version > highestVersion {
		return nil, refusedVersion
	}
	return &secured{conn: conn, reader: reader, send: send, receive: receive, key: key.id}, nil
}

// judge says whether a handshake may go on, and with which key. It has no side effect and believes nothing: nothing is authentic yet.
func judge(h *hello, cluster string, self model.NodeID, known func(model.NodeID) bool, keys []secret) (secret, refusal) {
	switch {
	case h.cluster != clusterID(cluster):
		return secret{}, refusedCluster
	case h.to != self || h.from == self || !known(h.from):
		return secret{}, refusedNode
	case h.highest < lowestVersion || h.lowest > highestVersion:
		return secret{}, refusedVersion
	}
	for _, key := range keys {
		if key.id == h.key {
			return key, accepted
		}
	}
	return secret{}, refusedKey
}

// respond is the accepting side: it returns who dialed. The first frame is still to come, and only that shows that the other side is
// there: all before may have been recorded. The connection's deadline bounds it.
func respond(
	conn net.Conn, cluster string, self model.NodeID, known func(model.NodeID) bool, keys []secret,
) (*secured, model.NodeID, error) {
	reader := bufio.NewReaderSize(conn, readBuffer)
	greeting := make([]byte, helloSize)
	if _, err := io.ReadFull(reader, greeting); err != nil {
		return nil, 0, fmt.Errorf("reading the first message: %w", err)
	}
	h, err := readHello(greeting)
	if err != nil {
		return nil, 0, err
	}
	first := make([]byte, firstSize)
	if _, err := io.ReadFull(reader, first); err != nil {
		return nil, 0, fmt.Errorf("reading the first message: %w", err)
	}
	key, no := judge(&h, cluster, self, known, keys)
	if no != accepted {
		_, err := conn.Write([]byte{byte(no)})
		return nil, h.from, errors.Join(no, err)
	}
	state, err := newState(false, greeting, cluster, key.psk)
	if err != nil {
		return nil, h.from, err
	}
	if _, _, _, err := state.ReadMessage(nil, first); err != nil {
		return nil, h.from, fmt.Errorf("the first message: %w: %w", errForged, err)
	}
	second, receive, send, err := state.WriteMessage([]byte{byte(accepted)}, []byte{min(h.highest, highestVersion)})
	if err != nil {
		return nil, h.from, fmt.Errorf("making the answer: %w", err)
	}
	if _, err := conn.Write(second); err != nil {
		return nil, h.from, fmt.Errorf("sending the answer: %w", err)
	}
	return &secured{conn: conn, reader: reader, send: send, receive: receive, key: key.id}, h.from, nil
}
