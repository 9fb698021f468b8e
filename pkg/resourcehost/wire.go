package resourcehost

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// maxFrame bounds a frame; a spec is at most as large as an object of the API, 1.5 MB.
const maxFrame = 4 << 20

// What a frame is.
const (
	// kindCall and kindCancel go to the process, kindDone comes back: the call has ended.
	kindCall, kindCancel, kindDone = "call", "cancel", "done"
	// kindSave, kindMayAct and kindProgress are what a call asks for on its way; kindAnswer answers the first two.
	kindSave, kindMayAct, kindProgress, kindAnswer = "save", "mayAct", "progress", "answer"
)

// Calls.
const (
	opOnline, opOffline, opTerminate, opLooksAlive, opIsAlive, opAdopt, opWatch = "Online", "Offline", "Terminate", "LooksAlive", "IsAlive", "Adopt", "Watch"
)

// frame is a line of JSON on the socket between the agent and the process.
type frame struct {
	// ID is the call's.
	ID       uint64                 `json:"id"`
	Kind     string                 `json:"kind"`
	Op       string                 `json:"op,omitempty"`
	Instance *resourcetype.Instance `json:"instance,omitempty"`
	Data     json.RawMessage        `json:"data,omitempty"`
	Text     string                 `json:"text,omitempty"`
	// Failed says that Text is an error, Denied that it is that of the lease check.
	Failed bool `json:"failed,omitempty"`
	Denied bool `json:"denied,omitempty"`
	// Network is the one that is lost, when that is the error.
	Network string `json:"network,omitempty"`
}

// wire reads and writes frames. Only one goroutine may read.
type wire struct {
	rw      io.ReadWriteCloser
	scanner *bufio.Scanner
	mu      sync.Mutex
}

func newWire(rw io.ReadWriteCloser) *wire {
	s := bufio.NewScanner(rw)
	s.Buffer(make([]byte, 0, 4096), maxFrame)
	return &wire{rw: rw, scanner: s}
}

func (w *wire) send(f *frame) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding a frame: %w", err)
	}
	if len(raw) >= maxFrame {
		return fmt.Errorf("%s of %d bytes is too large: at most %d", f.Kind, len(raw), maxFrame)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.rw.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("writing a frame: %w", err)
	}
	return nil
}

// receive returns io.EOF when the other side is gone.
func (w *wire) receive() (*frame, error) {
	if !w.scanner.Scan() {
		if err := w.scanner.Err(); err != nil {
			return nil, fmt.Errorf("reading a frame: %w", err)
		}
		return nil, io.EOF
	}
	f := &frame{}
	if err := json.Unmarshal(w.scanner.Bytes(), f); err != nil {
		return nil, fmt.Errorf("a garbled frame: %w", err)
	}
	if f.Kind == kindCall && f.Instance == nil {
		return nil, errors.New("a garbled frame: a call without its resource")
	}
	return f, nil
}
