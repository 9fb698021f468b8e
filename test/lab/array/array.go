package array

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Array is a set of disks and the hosts that reach them. All methods are safe for concurrent use.
type Array struct {
	dir   string
	disks []*disk
	mu    sync.Mutex
	hosts map[string]*Port
}

// disk is one backing file with its reservations.
type disk struct {
	name string
	file *os.File

	// mu makes "may this host write?" and the write one step: reads and writes share it, commands and power cuts take it alone.
	mu     sync.RWMutex
	res    *reservations
	aborts map[string]uint64 // by host: how often its commands under way were aborted
	resets uint64            // how often everyone's were
}

// PathState is how a host's path to a disk behaves.
type PathState string

// The states of a path.
const (
	PathOK     PathState = "ok"
	PathFailed PathState = "failed" // every command ends in EIO
	PathHung   PathState = "hung"   // commands wait until the path is healed or cut
)

// DiskName returns the file name of the n-th disk, counted from 1.
func DiskName(n int) string { return fmt.Sprintf("disk-%d.img", n) }

// Witness is the number of the disk that is no group's: the cluster's witness. Its file is WitnessName, of WitnessSize bytes.
const (
	Witness     = -1
	WitnessName = "witness.img"
	WitnessSize = 64 << 20
)

// New makes an array of count disks of size bytes, and a witness disk, whose backing files are in dir; files that exist keep their
// content. None takes more room than what is written to it.
func New(dir string, count int, size int64) (*Array, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("disk array: %w", err)
	}
	a := &Array{dir: dir, hosts: map[string]*Port{}}
	for n := range count + 1 {
		name, size := DiskName(n+1), size
		if n == count {
			name, size = WitnessName, WitnessSize
		}
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("disk array: %w", errors.Join(err, a.Close()))
		}
		a.disks = append(a.disks, &disk{name: name, file: file, res: newReservations(), aborts: map[string]uint64{}})
		if err := file.Truncate(size); err != nil {
			return nil, fmt.Errorf("disk array: %w", errors.Join(err, a.Close()))
		}
	}
	return a, nil
}

// Backing returns the path of the n-th disk's backing file, from 1: what is really on the disk, seen from outside.
func (a *Array) Backing(n int) string { return filepath.Join(a.dir, a.Name(n)) }

// Name returns the file name of the n-th disk, from 1, or of the Witness.
func (a *Array) Name(n int) string { return a.disks[a.index(n)].name }

// index is where the n-th disk is kept.
func (a *Array) index(n int) int {
	if n == Witness {
		return len(a.disks) - 1
	}
	return n - 1
}

// Close closes the backing files. File systems that are still attached get EIO afterwards.
func (a *Array) Close() error {
	var errs []error
	for _, d := range a.disks {
		errs = append(errs, d.file.Close())
	}
	return errors.Join(errs...)
}

// State returns the reservation state of the n-th disk, from 1, or of the Witness, as every host would read it.
func (a *Array) State(n int) State {
	d := a.disks[a.index(n)]
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.res.state()
}

// Count returns the number of disks without the witness.
func (a *Array) Count() int { return len(a.disks) - 1 }

// Port returns the host's port of the array, new and healthy at the first call.
func (a *Array) Port(host string) *Port {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.hosts[host]
	if p == nil {
		p = newPort(a, host)
		a.hosts[host] = p
	}
	return p
}

// write carries out a host's write, unless it may not, was aborted since it arrived (arrived is the abort count of then), or its
// path is not in order.
func (d *disk) write(p *Port, arrived uint64, data []byte, off int64) (int, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if Enforcing {
		if p.dead() || d.aborts[p.host]+d.resets != arrived || !d.res.mayWrite(p.host) {
			return 0, unix.EIO
		}
	}
	return d.file.WriteAt(data, off)
}

func (d *disk) read(p *Port, data []byte, off int64) (int, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if p.dead() || !d.res.mayRead(p.host) {
		return 0, unix.EIO
	}
	return d.file.ReadAt(data, off)
}

func (d *disk) abortCount(host string) uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.aborts[host] + d.resets
}

// command carries out a reservation command; when it returns, no write of a preempted host reaches the backing file any more.
func (d *disk) command(host string, c Command) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	victims, err := d.res.do(host, c.Service, uint64(c.Key), uint64(c.ServiceKey), c.Type)
	if err != nil {
		return err
	}
	if c.Service == LUNReset {
		d.resets++
	}
	for _, victim := range victims {
		d.aborts[victim]++
	}
	return nil
}

// stateJSON is the value of [AttrState].
func (d *disk) stateJSON() ([]byte, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return json.Marshal(d.res.state())
}

// Port is one host's way to the array.
type Port struct {
	array *Array
	host  string

	mu     sync.Mutex
	cut    bool
	paths  []PathState
	change chan struct{} // closed and replaced at each change
}

func newPort(a *Array, host string) *Port {
	p := &Port{array: a, host: host, paths: make([]PathState, len(a.disks)), change: make(chan struct{})}
	for n := range p.paths {
		p.paths[n] = PathOK
	}
	return p
}

func (p *Port) changed() {
	close(p.change)
	p.change = make(chan struct{})
}

// Cut takes the host's power away: when it returns, none of its writes reaches a backing file any more, and commands end in EIO.
func (p *Port) Cut() {
	p.mu.Lock()
	p.cut = true
	p.changed()
	p.mu.Unlock()
	for _, d := range p.array.disks {
		d.mu.Lock()
		d.aborts[p.host]++
		d.mu.Unlock()
	}
}

// PowerOn makes a cut port answer again. What was set with [Port.SetPath] stays.
func (p *Port) PowerOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	p.changed()
}

// SetPath sets how the path to the n-th disk behaves, from 1, or to the Witness; 0 means all disks, and the witness too.
func (p *Port) SetPath(n int, state PathState) error {
	if n < Witness || n > p.array.Count() {
		return fmt.Errorf("disk %d of host %s: there are disks 1 to %d, and the witness", n, p.host, p.array.Count())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.paths {
		if n == 0 || i == p.array.index(n) {
			p.paths[i] = state
		}
	}
	p.changed()
	return nil
}

// Paths returns the state of the path to each disk, the last being the witness.
func (p *Port) Paths() []PathState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.paths)
}

func (p *Port) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut && Enforcing
}

// wait holds a command back while the path hangs and says whether it may go on.
func (p *Port) wait(ctx context.Context, n int) error {
	for {
		p.mu.Lock()
		cut, state, change := p.cut, p.paths[n], p.change
		p.mu.Unlock()
		switch {
		case cut && Enforcing, state == PathFailed:
			return unix.EIO
		case state == PathOK:
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return unix.EINTR
		}
	}
}
