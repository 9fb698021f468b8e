package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unsafe"
)

// Kinds of sealed blocks.
const (
	kindHeader = 1
	kindMark   = 2
	kindRecord = 3
	kindState  = 4
)

// magic begins every sealed block. Its last digits are the format's version.
var magic = [8]byte{'Q', 'R', 'T', 'W', 'I', 'T', '0', '1'}

// preamble is what a sealed block has before its payload.
type preamble struct {
	Magic [8]byte
	Kind  uint8
	_     uint8
	Node  uint16
	// Length of the payload.
	Length uint32
	// ID is the witness's identity: what an earlier witness left on the disk does not count.
	ID       uint64
	Sequence uint64
}

const (
	preambleSize = 32
	maxPayload   = block - preambleSize - sha256.Size
)

var errUnsealed = errors.New("not a sealed block")

// sealed is one block.
type sealed struct {
	kind     uint8
	node     uint16
	id       uint64
	sequence uint64
}

// seal lays a block out in memory that the kernel can read from directly.
func seal(s sealed, payload any) ([]byte, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encoding a block of the witness: %w", err)
	}
	if len(raw) > maxPayload {
		return nil, fmt.Errorf("a block of the witness takes %d bytes, not %d", maxPayload, len(raw))
	}
	b := aligned(block)
	p := preamble{Magic: magic, Kind: s.kind, Node: s.node, Length: uint32(len(raw)), ID: s.id, Sequence: s.sequence}
	if _, err := binary.Encode(b, binary.LittleEndian, p); err != nil {
		return nil, fmt.Errorf("encoding a block of the witness: %w", err)
	}
	copy(b[preambleSize:], raw)
	sum := sha256.Sum256(b[:block-sha256.Size])
	copy(b[block-sha256.Size:], sum[:])
	return b, nil
}

// unseal reads a block of the wanted kind, and of the wanted identity unless that is 0. The payload is decoded into what out
// points to.
func unseal(b []byte, kind uint8, id uint64, out any) (sealed, error) {
	if len(b) != block || !bytes.HasPrefix(b, magic[:]) {
		return sealed{}, errUnsealed
	}
	sum := sha256.Sum256(b[:block-sha256.Size])
	if !bytes.Equal(sum[:], b[block-sha256.Size:]) {
		return sealed{}, errUnsealed
	}
	var p preamble
	if _, err := binary.Decode(b, binary.LittleEndian, &p); err != nil || p.Kind != kind || p.Length > maxPayload {
		return sealed{}, errUnsealed
	}
	if id != 0 && p.ID != id {
		return sealed{}, errUnsealed
	}
	if err := json.Unmarshal(b[preambleSize:preambleSize+p.Length], out); err != nil {
		return sealed{}, fmt.Errorf("%w: %w", errUnsealed, err)
	}
	return sealed{kind: p.Kind, node: p.Node, id: p.ID, sequence: p.Sequence}, nil
}

// aligned returns n zero bytes that begin at a multiple of a block, as O_DIRECT wants it.
func aligned(n int) []byte {
	b := make([]byte, n+block)
	skip := (block - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%block)) % block
	return b[skip : skip+n : skip+n]
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
