package reservation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// straggler is how long the other paths are waited for when one has answered; one that takes longer counts as dead.
const straggler = 500 * time.Millisecond

// Map is the device-mapper map of a multipath disk. Commands go to its paths, never to the map itself (O16).
type Map interface {
	// Paths are the paths that the map has now, whatever their state; the names are those of their devices.
	Paths() ([]Device, error)
	// Fail takes a path out of use, Reinstate puts it back.
	Fail(ctx context.Context, path string) error
	Reinstate(ctx context.Context, path string) error
}

// multipath is a disk with several paths (O18): every live path is registered with the same key, and a path that comes back is
// registered, and the holder read back through it, before it is used again. Dead paths stay out.
type multipath struct {
	name string
	m    Map

	mu sync.Mutex
	// live has the paths that answered last; admitted those that are known to be registered, and with which key.
	live     []Device
	admitted map[string]Key
	// out has the paths that were taken out of use.
	out map[string]bool
}

// NewMultipath returns the disk of a map; name is the map's own device, for messages.
func NewMultipath(name string, m Map) Device {
	return &multipath{name: name, m: m, admitted: map[string]Key{}, out: map[string]bool{}}
}

func (d *multipath) Name() string { return d.name }

// answer is what one path says.
type answer struct {
	path   Device
	status Status
	err    error
}

// ReadStatus asks all paths at once, and takes the word of the first in order that answers: it is one disk.
func (d *multipath) ReadStatus(ctx context.Context) (Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.read(ctx)
}

func (d *multipath) read(ctx context.Context) (Status, error) {
	paths, err := d.m.Paths()
	if err != nil {
		return Status{}, err
	}
	answers := ask(ctx, paths, func(ctx context.Context, p Device) (st Status, err error) {
		err = retryAttention(func() error {
			st, err = p.ReadStatus(ctx)
			return err
		})
		return st, err
	})
	d.live = d.live[:0]
	var found *Status
	var failures []error
	for i, a := range answers {
		if a.err != nil {
			delete(d.admitted, paths[i].Name())
			failures = append(failures, fmt.Errorf("path %s: %w", paths[i].Name(), a.err))
			continue
		}
		d.live = append(d.live, a.path)
		if found == nil {
			found = &answers[i].status
		}
	}
	if found == nil {
		return Status{}, fmt.Errorf("%w: none of the %d paths of %s answers: %w", ErrPath, len(paths), d.name, errors.Join(failures...))
	}
	return *found, nil
}

// ask calls f on all paths at once. When one has succeeded the others get a moment more; those that take longer are left behind.
func ask(ctx context.Context, paths []Device, f func(context.Context, Device) (Status, error)) []answer {
	answers := make([]answer, len(paths))
	arrived := make(chan int, len(paths))
	results := make([]chan answer, len(paths))
	for i, p := range paths {
		answers[i] = answer{path: p, err: fmt.Errorf("%w: it does not answer", ErrPath)}
		results[i] = make(chan answer, 1)
		go func() {
			st, err := f(ctx, p)
			results[i] <- answer{path: p, status: st, err: err}
			arrived <- i
		}()
	}
	var late <-chan time.Time
	for range paths {
		select {
		case i := <-arrived:
			answers[i] = <-results[i]
			if answers[i].err == nil && late == nil {
				late = time.After(straggler)
			}
		case <-late:
			return answers
		}
	}
	return answers
}

// everywhere sends a registration on each live path. It is carried out if one path took it; paths that failed are taken out of use.
func (d *multipath) everywhere(ctx context.Context, key Key, f func(context.Context, Device) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.known(ctx); err != nil {
		return err
	}
	answers := ask(ctx, d.live, func(ctx context.Context, p Device) (Status, error) { return Status{}, f(ctx, p) })
	var failures []error
	taken := 0
	for i, a := range answers {
		name := d.live[i].Name()
		if a.err == nil {
			taken++
			d.admitted[name] = key
			continue
		}
		was, admitted := d.admitted[name]
		delete(d.admitted, name)
		failures = append(failures, fmt.Errorf("path %s: %w", name, a.err))
		if errors.Is(a.err, ErrConflict) && admitted && was != key {
			return fmt.Errorf("path %s, which was registered: %w", name, a.err)
		}
	}
	if taken == 0 {
		return errors.Join(failures...)
	}
	return nil
}

// known sees to it that the live paths are known.
func (d *multipath) known(ctx context.Context) error {
	if len(d.live) > 0 {
		return nil
	}
	_, err := d.read(ctx)
	return err
}

// once sends a command on one live path that has the key, and on the next one if the path fails: each is harmless to repeat, since
// a preempt whose victim is gone and a second reserve change nothing.
func (d *multipath) once(ctx context.Context, key Key, f func(Device) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.known(ctx); err != nil {
		return err
	}
	candidates := make([]Device, 0, len(d.live))
	for _, p := range d.live {
		if key == 0 || d.admitted[p.Name()] == key {
			candidates = append(candidates, p)
		}
	}
	if len(candidates) == 0 {
		// After a restart of the agent it is not known which path has the key: the disk says so by a conflict.
		candidates = d.live
	}
	var err error
	for _, p := range candidates {
		if err = f(p); err == nil || !errors.Is(err, ErrPath) && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

// Register changes the key on each live path. A path that has the new one already, from an attempt that was cut short, is well.
func (d *multipath) Register(ctx context.Context, old, key Key) error {
	return d.everywhere(ctx, key, func(ctx context.Context, p Device) error {
		err := retryAttention(func() error { return p.Register(ctx, old, key) })
		if errors.Is(err, ErrConflict) && key != 0 && old != key {
			err = retryAttention(func() error { return p.Register(ctx, key, key) })
		}
		return err
	})
}

func (d *multipath) RegisterIgnore(ctx context.Context, key Key) error {
	return d.everywhere(ctx, key, func(ctx context.Context, p Device) error {
		return retryAttention(func() error { return p.RegisterIgnore(ctx, key) })
	})
}

func (d *multipath) Reserve(ctx context.Context, key Key) error {
	return d.once(ctx, key, func(p Device) error { return p.Reserve(ctx, key) })
}

// Release goes to every live path, since only the one that holds the reservation can release it.
func (d *multipath) Release(ctx context.Context, key Key) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.known(ctx); err != nil {
		return err
	}
	var failures []error
	for _, p := range d.live {
		if err := retryAttention(func() error { return p.Release(ctx, key) }); err != nil {
			failures = append(failures, fmt.Errorf("path %s: %w", p.Name(), err))
		}
	}
	if len(failures) == len(d.live) {
		return errors.Join(failures...)
	}
	return nil
}

func (d *multipath) PreemptAbort(ctx context.Context, key, victim Key) error {
	return d.once(ctx, key, func(p Device) error { return p.PreemptAbort(ctx, key, victim) })
}

func (d *multipath) Clear(ctx context.Context, key Key) error {
	return d.once(ctx, key, func(p Device) error { return p.Clear(ctx, key) })
}

func (d *multipath) LUNReset(ctx context.Context) error {
	return d.once(ctx, 0, func(p Device) error { return p.LUNReset(ctx) })
}

// Identity asks the first path that answers.
func (d *multipath) Identity(ctx context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.known(ctx); err != nil {
		return "", err
	}
	return Identity(ctx, d.live[0])
}

// KeepPaths registers paths that came back, and takes dead ones out of use (O18). The status has just been found to be me's alone.
func (d *multipath) KeepPaths(ctx context.Context, me Key) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	paths, err := d.m.Paths()
	if err != nil {
		return err
	}
	live := map[string]bool{}
	for _, p := range d.live {
		live[p.Name()] = true
	}
	for _, p := range paths {
		name := p.Name()
		switch {
		case live[name] && d.admitted[name] == me:
			err = d.reinstate(ctx, name)
		case live[name]:
			err = d.admit(ctx, p, me)
		case !d.out[name]:
			if err = d.m.Fail(ctx, name); err == nil {
				d.out[name] = true
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// admit registers one path. That it is registered already is found out by registering the same key again, which changes nothing.
func (d *multipath) admit(ctx context.Context, p Device, me Key) error {
	err := retryAttention(func() error { return p.Register(ctx, me, me) })
	if errors.Is(err, ErrConflict) {
		err = retryAttention(func() error { return p.Register(ctx, 0, me) })
	}
	if errors.Is(err, ErrPath) || errors.Is(err, ErrConflict) {
		return nil // it has died again, or is not ours to have; the next look tells
	}
	if err != nil {
		return fmt.Errorf("registering path %s of %s: %w", p.Name(), d.name, err)
	}
	if err := Holds(ctx, p, me); err != nil {
		return errors.Join(err, p.Register(ctx, me, 0))
	}
	d.admitted[p.Name()] = me
	return d.reinstate(ctx, p.Name())
}

func (d *multipath) reinstate(ctx context.Context, name string) error {
	if !d.out[name] {
		return nil
	}
	if err := d.m.Reinstate(ctx, name); err != nil {
		return err
	}
	delete(d.out, name)
	return nil
}
