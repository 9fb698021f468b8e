package disk

import (
	"errors"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/reservation"
)

// memory is a disk that hosts share, with a target that enforces reservations.
type memory struct {
	target *reservation.Fake
	mu     sync.Mutex
	size   int64
	blocks map[int64][]byte
	// tear is asked before each write: how many of its bytes reach the disk before the power goes. The whole write if it is nil.
	tear func(at int64, n int) (int, bool)
	// before is called before each write, if it is not nil.
	before func()
}

func newMemory() *memory {
	return &memory{target: reservation.NewFake(), size: MinSize, blocks: map[int64][]byte{}}
}

// host is the disk as one host has it.
type host struct {
	*memory
	name string
}

func (h host) Size() (int64, error) { return h.size, nil }
func (h host) Close() error         { return nil }

func (h host) ReadAt(p []byte, off int64) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !fits(p, off, h.size) {
		return 0, unix.EINVAL
	}
	for n := 0; n < len(p); n += block {
		if b := h.blocks[off+int64(n)]; b != nil {
			copy(p[n:], b)
		} else {
			clear(p[n : n+block])
		}
	}
	return len(p), nil
}

var errPower = errors.New("the power went")

func (h host) WriteAt(p []byte, off int64) (int, error) {
	if h.before != nil {
		h.before()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !fits(p, off, h.size) {
		return 0, unix.EINVAL
	}
	if !h.target.MayWrite(h.name) {
		return 0, unix.EBADE
	}
	n, torn := len(p), false
	if h.tear != nil {
		n, torn = h.tear(off, n)
	}
	h.place(off, p[:n])
	if torn {
		return n, errPower
	}
	return n, nil
}

// fits says that a transfer is what O_DIRECT takes.
func fits(p []byte, off, size int64) bool {
	return off%block == 0 && len(p)%block == 0 && off+int64(len(p)) <= size && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%block == 0
}

// put writes from outside.
func (m *memory) put(at int64, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.place(at, data)
}

func (m *memory) place(at int64, data []byte) {
	for len(data) > 0 {
		start := at / block * block
		if m.blocks[start] == nil {
			m.blocks[start] = make([]byte, block)
		}
		n := copy(m.blocks[start][at-start:], data)
		at, data = at+int64(n), data[n:]
	}
}
