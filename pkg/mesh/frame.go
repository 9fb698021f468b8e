package mesh

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/flynn/noise"

	"github.com/quorate/quorate/pkg/heartbeat"
)

// kind is the first byte of a frame.
type kind byte

const (
	// kindPart is a part of a message of which more follows, kindLast its end.
	kindPart kind = iota + 1
	kindLast
	// kindPing asks for an answer, kindAnswer is one.
	kindPing
	kindAnswer
)

const (
	tagSize = 16
	// maxData is what one frame can carry: a message of Noise has at most 65535 bytes.
	maxData    = noise.MaxMsgLen - tagSize - 1
	readBuffer = 4096
)

// secured is a connection after the handshake. One goroutine reads it, any may write.
type secured struct {
	conn    net.Conn
	reader  *bufio.Reader
	receive *noise.CipherState
	// key is that of the handshake.
	key heartbeat.KeyID

	mu   sync.Mutex
	send *noise.CipherState
	out  []byte

	in []byte
}

// write sends one frame. The connection's deadline bounds it.
func (s *secured) write(k kind, data []byte) error {
	if len(data) > maxData {
		return fmt.Errorf("a frame of %d bytes, more than %d", len(data), maxData)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size := tagSize + 1 + len(data)
	s.out = binary.BigEndian.AppendUint16(s.out[:0], uint16(size))
	s.out = append(append(s.out, byte(k)), data...)
	sealed, err := s.send.Encrypt(s.out[:2], nil, s.out[2:])
	if err != nil {
		return fmt.Errorf("sealing a frame: %w", err)
	}
	s.out = sealed
	if _, err := s.conn.Write(sealed); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// read returns the next frame; data is valid until the next read. io.EOF is an orderly end between two frames.
func (s *secured) read() (k kind, data []byte, err error) {
	var prefix [2]byte
	if _, err := io.ReadFull(s.reader, prefix[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, nil, io.EOF
		}
		return 0, nil, fmt.Errorf("receiving: %w", err)
	}
	size := int(binary.BigEndian.Uint16(prefix[:]))
	if size < tagSize+1 {
		return 0, nil, fmt.Errorf("a frame of %d bytes, fewer than %d", size, tagSize+1)
	}
	if cap(s.in) < size {
		s.in = make([]byte, size)
	}
	s.in = s.in[:size]
	if _, err := io.ReadFull(s.reader, s.in); err != nil {
		return 0, nil, fmt.Errorf("receiving: %w", err)
	}
	plain, err := s.receive.Decrypt(s.in[:0], nil, s.in)
	if err != nil {
		return 0, nil, fmt.Errorf("a frame: %w: %w", errForged, err)
	}
	return kind(plain[0]), plain[1:], nil
}

// assembler puts messages together from frames.
type assembler struct{ parts []byte }

// add takes a frame. whole is the message that is complete with it, nil when none is; it is valid until the next call.
func (a *assembler) add(k kind, data []byte) (whole []byte, err error) {
	switch k {
	case kindPart, kindLast:
	case kindPing:
		return nil, nil
	default:
		return nil, fmt.Errorf("a frame of kind %d, which this side does not expect", k)
	}
	if len(data) == 0 {
		return nil, errors.New("a part of a message is empty")
	}
	if len(a.parts)+len(data) > maxPacked {
		return nil, fmt.Errorf("a message of more than %d bytes", maxPacked)
	}
	a.parts = append(a.parts, data...)
	if k == kindPart {
		return nil, nil
	}
	whole, a.parts = a.parts, a.parts[:0]
	if cap(a.parts) > keepParts {
		a.parts = nil
	}
	return whole, nil
}

// keepParts is how much memory a connection keeps from one message to the next.
const keepParts = 1 << 20
