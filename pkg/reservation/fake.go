package reservation

import (
	"context"
	"slices"
	"sync"
)

// Fake is a disk in memory that several hosts share. It has the semantics of a real target, and lets a test step in before each
// command.
type Fake struct {
	mu    sync.Mutex
	array Array
	// Enforced and PTPL are what the disk says of itself. They are set before use.
	Enforced, PTPL bool
	// Before is called before each command and read, with the host and the command's service ("" for a read); an error becomes the
	// command's outcome. It may issue commands of other hosts. Nil for none.
	Before func(host string, service Service) error
	// Log has every command that was carried out, in order.
	Log []string
	// Aborted counts the hosts' aborted commands in flight, Resets the LOGICAL UNIT RESETs.
	Aborted map[string]int
	Resets  int
}

// NewFake returns an unreserved disk that enforces, and remembers through a power loss.
func NewFake() *Fake {
	return &Fake{Enforced: true, PTPL: true, Aborted: map[string]int{}}
}

// Host returns the disk as one host has it.
func (f *Fake) Host(name string) Device {
	d := &fakeDevice{fake: f, host: name}
	d.commands = d.do
	return d
}

// Status reads the disk from outside.
func (f *Fake) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.array.Status()
	st.Enforced, st.PTPL = f.Enforced, f.PTPL
	return st
}

// MayWrite reports whether a host's write passes now.
func (f *Fake) MayWrite(host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.Enforced || f.array.MayWrite(host)
}

// PowerLoss forgets everything, unless the disk has PTPL.
func (f *Fake) PowerLoss() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.PTPL {
		f.array = Array{}
	}
}

// Services lists the commands of one host so far.
func (f *Fake) Services(host string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, l := range f.Log {
		if s, ok := cutHost(l, host); ok {
			out = append(out, s)
		}
	}
	return slices.Clip(out)
}

func cutHost(line, host string) (string, bool) {
	if len(line) > len(host)+1 && line[:len(host)+1] == host+" " {
		return line[len(host)+1:], true
	}
	return "", false
}

type fakeDevice struct {
	commands
	fake *Fake
	host string
}

func (d *fakeDevice) Name() string { return "fake-of-" + d.host }

func (d *fakeDevice) before(s Service) error {
	if d.fake.Before == nil {
		return nil
	}
	return d.fake.Before(d.host, s)
}

func (d *fakeDevice) ReadStatus(ctx context.Context) (Status, error) {
	if err := ctx.Err(); err != nil {
		return Status{}, err
	}
	if err := d.before(""); err != nil {
		return Status{}, err
	}
	return d.fake.Status(), nil
}

func (d *fakeDevice) do(ctx context.Context, c Command) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.before(c.Service); err != nil {
		return err
	}
	f := d.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	victims, err := f.array.Do(d.host, c)
	if err != nil {
		return err
	}
	f.Log = append(f.Log, d.host+" "+string(c.Service))
	for _, v := range victims {
		f.Aborted[v]++
	}
	if c.Service == ServiceLUNReset {
		f.Resets++
	}
	return nil
}
