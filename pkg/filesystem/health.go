package filesystem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Place is where a device is mounted, or should be.
type Place struct {
	Path string
	// Device for messages, with its number.
	Device       string
	Major, Minor uint32
	// ReadOnly says that the mount options ask for that.
	ReadOnly bool
	// Ours says whether the number still is the disk's; nil when it cannot become another's.
	Ours func() bool
}

// ReadOnly reports whether the last word of mount options is ro.
func ReadOnly(options []string) bool {
	flags, _ := mountOptions(nil, options)
	return flags&unix.MS_RDONLY != 0
}

// Mounted tells whether the device is mounted there on top, and takes writes by its own word. It does not touch the disk.
func (p Place) Mounted() error {
	m, found, err := FindMount(p.Path)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("nothing is mounted on %s", p.Path)
	case !m.Is(p.Major, p.Minor):
		return fmt.Errorf("%s is mounted on %s instead of %s", m.Source, p.Path, p.Device)
	}
	if why := m.Ill(p.ReadOnly); why != "" {
		return fmt.Errorf("the file system on %s: %s", p.Path, why)
	}
	return nil
}

// aliveFile is what Alive writes to.
const aliveFile = ".quorate-alive"

// ErrFull says that the file system serves, but has no space left. To move it elsewhere would not help: it is the same there.
var ErrFull = errors.New("the file system is full")

// Alive writes to the file system and waits until that is on the disk; from one that is mounted read-only it reads. A write that
// hangs past ctx is left behind.
func (p Place) Alive(ctx context.Context) error {
	if p.ReadOnly {
		_, err := os.ReadDir(p.Path)
		return err
	}
	done := make(chan error, 1)
	go func() { done <- writeAlive(filepath.Join(p.Path, aliveFile)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("writing to %s: %w", p.Path, ctx.Err())
	}
}

func writeAlive(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		_, err = file.WriteAt([]byte(time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z\n")), 0)
		if err == nil {
			err = file.Sync()
		}
		err = errors.Join(err, file.Close())
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case err != nil:
		return fmt.Errorf("writing to the disk: %w", err)
	}
	return nil
}

// TakeAway shuts the file system down, so that nothing more reaches the disk, and takes it from the name space; processes that use it
// get errors. Nothing mounted there is no error. It is bounded by ctx: a mount whose disk hangs may not let itself be opened.
func (p Place) TakeAway(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- p.takeAway() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("shutting %s down: the file system does not answer: %w", p.Path, ctx.Err())
	}
}

func (p Place) takeAway() error {
	// Several mounts may lie on top of each other after failed attempts.
	taken := false
	for range 16 {
		all, err := FindMounts(p.Path)
		if err != nil {
			return err
		}
		ours := slices.ContainsFunc(all, func(m Mounted) bool { return m.Is(p.Major, p.Minor) })
		switch {
		case !ours && taken:
			return nil // all mounts of a file system are shut down with it
		case !ours:
			return p.shutElsewhere()
		}
		m := all[len(all)-1]
		if !m.Is(p.Major, p.Minor) {
			return fmt.Errorf("the disk on %s is covered by a mount of %s: unmount that first", p.Path, m.Source)
		}
		// What could not be shut down is not detached: out of sight it would go on writing.
		if err := ShutDown(p.Path); err != nil && m.Ill(false) == "" {
			return err
		}
		if err := unix.Unmount(p.Path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("detaching %s: %w", p.Path, err)
		}
		taken = true
	}
	return fmt.Errorf("detaching %s: it is mounted again and again", p.Path)
}

// watchInterval is how often the kernel is asked whether the file system still takes writes; that reads no disk.
const watchInterval = time.Second

// Watch sends at most one error, when check fails; the channel is closed when ctx ends.
func Watch(ctx context.Context, check func() error) <-chan error {
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := check(); err != nil && ctx.Err() == nil {
				failed <- err
				return
			}
		}
	}()
	return failed
}
