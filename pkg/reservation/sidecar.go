package reservation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// sidecarSuffix names the file beside a shared file that keeps its advisory reservation.
const sidecarSuffix = ".quorate-pr"

// sidecar is an advisory reservation: hosts that look at it agree on who may write, but nothing stops one that does not look.
type sidecar struct {
	commands
	file  string
	path  string
	nexus string
}

func openSidecar(file, nexus string) Device {
	d := &sidecar{file: file, path: file + sidecarSuffix, nexus: nexus}
	d.commands = d.do
	return d
}

func (d *sidecar) Name() string { return d.file }

func (d *sidecar) ReadStatus(ctx context.Context) (st Status, err error) {
	err = d.locked(ctx, func(a *Array) (bool, error) {
		st = a.Status()
		return false, nil
	})
	// The sidecar is written with fsync, so it does survive a power loss.
	st.PTPL = true
	return st, err
}

func (d *sidecar) do(ctx context.Context, c Command) error {
	return d.locked(ctx, func(a *Array) (bool, error) {
		_, err := a.Do(d.nexus, c)
		return err == nil, err
	})
}

// locked runs f on the array under the lock, and writes the array back if f says so. It is replaced as a whole, so a reader never
// sees half of it; a waiter for the lock that got the replaced file begins again.
func (d *sidecar) locked(ctx context.Context, f func(*Array) (bool, error)) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		again, err := d.tryLocked(f)
		if !again {
			return err
		}
	}
}

func (d *sidecar) tryLocked(f func(*Array) (bool, error)) (again bool, err error) {
	lock, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, fmt.Errorf("opening the advisory reservation: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return false, fmt.Errorf("locking %s: %w", d.path, err)
	}
	current, err := d.isCurrent(lock)
	if err != nil || !current {
		return !current && err == nil, err
	}
	var array Array
	raw, err := io.ReadAll(lock)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", d.path, err)
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &array); err != nil {
			return false, fmt.Errorf("%s is garbled (%w): make sure that no host uses %s, then remove it", d.path, err, d.file)
		}
	}
	changed, err := f(&array)
	if err != nil || !changed {
		return false, err
	}
	return false, d.replace(&array)
}

func (d *sidecar) isCurrent(lock *os.File) (bool, error) {
	mine, err := lock.Stat()
	if err != nil {
		return false, fmt.Errorf("looking at %s: %w", d.path, err)
	}
	now, err := os.Stat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at %s: %w", d.path, err)
	}
	return os.SameFile(mine, now), nil
}

func (d *sidecar) replace(a *Array) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", d.path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(d.path), filepath.Base(d.path)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", d.path, err)
	}
	_, err = tmp.Write(raw)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), d.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", d.path, err), os.Remove(tmp.Name()))
	}
	return nil
}
