package runstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Lease is what the agent tells the guardian, at each heartbeat.
type Lease struct {
	// KeepingUntil is the boottime until which the agent may keep what runs (rule R7). Addresses fall silent then.
	KeepingUntil time.Duration
	// StopAt is the boottime at which the stop of what runs begins: KeepingUntil, or one witness wait later while a challenge is under
	// way (rule R8). A StopAt before KeepingUntil, such as none, counts as KeepingUntil.
	StopAt     time.Duration
	Generation model.Generation
	// BootID is the kernel's boot id (36 characters); in the laboratory it names a simulated boot.
	BootID string
	// PID and StartTime (field 22 of /proc/PID/stat) name the agent's process, for the guardian to kill. 0 when the agent ended.
	PID       int
	StartTime uint64
	// Active says that something runs, or may run: without it the guardian has nothing to do.
	Active bool
	// Stopping says that the agent has seen the end of its lease and is stopping everything: while its process lives, the guardian
	// gives it three quarters of SelfFence instead of one.
	Stopping bool
	// SelfFence is the cluster's selfFence.timeout: the guardian acts a quarter of it after StopAt and is done by its end.
	SelfFence time.Duration
}

// StopBegins is when the stop begins that follows the end of the lease.
func (l *Lease) StopBegins() time.Duration { return max(l.KeepingUntil, l.StopAt) }

const (
	leaseName  = "lease"
	leaseMagic = "QLEASE01"
	bootIDSize = 40
	leaseSize  = 8 + 8*6 + 8 + bootIDSize + 4

	flagActive   = 1
	flagStopping = 2
)

// Marshal encodes the lease: magic, six 64-bit numbers (of StopAt, how much later than KeepingUntil it is), flags, boot id, CRC-32;
// little endian.
func (l Lease) Marshal() ([]byte, error) {
	if len(l.BootID) > bootIDSize {
		return nil, fmt.Errorf("boot id %q is longer than %d", l.BootID, bootIDSize)
	}
	b := make([]byte, 0, leaseSize)
	b = append(b, leaseMagic...)
	for _, v := range []uint64{
		uint64(l.KeepingUntil), uint64(l.Generation), uint64(l.PID), l.StartTime, uint64(l.SelfFence),
		uint64(l.StopBegins() - l.KeepingUntil),
	} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	var flags uint64
	if l.Active {
		flags |= flagActive
	}
	if l.Stopping {
		flags |= flagStopping
	}
	b = binary.LittleEndian.AppendUint64(b, flags)
	b = append(b, l.BootID...)
	b = append(b, make([]byte, bootIDSize-len(l.BootID))...)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)), nil
}

// ParseLease decodes a lease and refuses one that is torn.
func ParseLease(b []byte) (Lease, error) {
	if len(b) != leaseSize || string(b[:8]) != leaseMagic {
		return Lease{}, fmt.Errorf("%w: not a lease (%d bytes)", errGarbled, len(b))
	}
	body := b[:leaseSize-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(b[leaseSize-4:]) {
		return Lease{}, fmt.Errorf("%w: the lease's checksum is wrong", errGarbled)
	}
	number := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
	l := Lease{
		KeepingUntil: time.Duration(number(0)), Generation: model.Generation(number(1)), PID: int(number(2)), StartTime: number(3),
		SelfFence: time.Duration(number(4)), Active: number(6)&flagActive != 0, Stopping: number(6)&flagStopping != 0,
	}
	prolonged := time.Duration(number(5))
	l.StopAt = l.KeepingUntil + prolonged
	id := body[8+8*7:]
	end := 0
	for end < len(id) && id[end] != 0 {
		end++
	}
	l.BootID = string(id[:end])
	if l.KeepingUntil < 0 || l.PID < 0 || l.SelfFence < 0 || prolonged < 0 || l.StopAt < 0 {
		return Lease{}, fmt.Errorf("%w: a number of the lease is out of range", errGarbled)
	}
	return l, nil
}

// LeaseFile writes the lease in place: once per heartbeat, so a rename each time would be waste. A reader that meets a half
// written one sees it by the checksum and reads again.
type LeaseFile struct {
	mu   sync.Mutex
	file *os.File
}

// OpenLease opens the lease of the run directory for writing and leaves its content as it is.
func OpenLease(runDir string) (*LeaseFile, error) {
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the run directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(runDir, leaseName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lease: %w", err)
	}
	return &LeaseFile{file: f}, nil
}

// Write replaces the lease.
func (f *LeaseFile) Write(l Lease) error {
	b, err := l.Marshal()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.file.WriteAt(b, 0); err != nil {
		return fmt.Errorf("writing the lease: %w", err)
	}
	return nil
}

// Close closes the file and leaves the lease.
func (f *LeaseFile) Close() error { return f.file.Close() }

// ErrNoLease says that no agent has written a lease since boot.
var ErrNoLease = errors.New("no lease: no agent has run since boot")

// ReadLease reads the lease of the run directory. It tries again for a moment when it meets a half written one.
func ReadLease(runDir string) (Lease, error) {
	var lease Lease
	var err error
	for range 5 {
		var raw []byte
		raw, err = os.ReadFile(filepath.Join(runDir, leaseName))
		if errors.Is(err, fs.ErrNotExist) || (err == nil && len(raw) == 0) {
			return Lease{}, ErrNoLease
		}
		if err == nil {
			if lease, err = ParseLease(raw); err == nil {
				return lease, nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	return Lease{}, fmt.Errorf("reading the lease: %w", err)
}
