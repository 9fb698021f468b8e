package runstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/model"
)

const (
	resourcesDir = "resources"
	groupsDir    = "groups"
	recordSuffix = ".json"
)

// Store reads and writes the records. Its methods may be called concurrently; for one record the caller keeps the order.
type Store struct {
	runDir string
	floors *floors
	// written counts temporary files, so that two writers of one record never share one.
	mu      sync.Mutex
	written uint64
}

// Open returns the store in the run directory (a tmpfs such as /run/quorate). With a state directory the highest epoch of each
// group is kept there across reboots; the guardian passes an empty one, and then RaiseFloor fails.
func Open(runDir, stateDir string) (*Store, error) {
	s := &Store{runDir: runDir}
	for _, dir := range []string{runDir, filepath.Join(runDir, resourcesDir), filepath.Join(runDir, groupsDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the run directory: %w", err)
		}
	}
	if stateDir != "" {
		f, err := openFloors(filepath.Join(stateDir, groupsDir))
		if err != nil {
			return nil, err
		}
		s.floors = f
	}
	return s, nil
}

// Close flushes the epochs and closes their file.
func (s *Store) Close() error {
	if s.floors == nil {
		return nil
	}
	return s.floors.close()
}

// RunDir is where the records are.
func (s *Store) RunDir() string { return s.runDir }

// PutResource writes the record of a resource; when it returns, a later agent will find it.
func (s *Store) PutResource(r *Resource) error {
	r.Version = version
	if !validUID(r.Resource.UID) {
		return fmt.Errorf("resource %s: uid %q cannot name a file", r.Resource, r.Resource.UID)
	}
	return s.put(resourcesDir, r.Resource.UID, r)
}

// PutGroup writes the record of a group.
func (s *Store) PutGroup(g *Group) error {
	g.Version = version
	if !validUID(g.Group.UID) {
		return fmt.Errorf("group %s: uid %q cannot name a file", g.Group, g.Group.UID)
	}
	return s.put(groupsDir, g.Group.UID, g)
}

// DeleteResource removes the record of a resource; none is no error.
func (s *Store) DeleteResource(uid string) error { return s.remove(resourcesDir, uid) }

// DeleteGroup removes the record of a group; none is no error.
func (s *Store) DeleteGroup(uid string) error { return s.remove(groupsDir, uid) }

// put renames a whole new file over the old one. There is no fsync: after a crash of the machine nothing of it is wanted.
func (s *Store) put(dir, uid string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the run state of %s: %w", uid, err)
	}
	s.mu.Lock()
	s.written++
	temporary := filepath.Join(s.runDir, dir, fmt.Sprintf(".%s.%d.%d", uid, os.Getpid(), s.written))
	s.mu.Unlock()
	if err := replace(temporary, filepath.Join(s.runDir, dir, uid+recordSuffix), raw); err != nil {
		_ = unix.Unlink(temporary)
		return fmt.Errorf("writing the run state of %s: %w", uid, err)
	}
	return nil
}

// replace writes a file and renames it over another, with plain system calls: package os makes twice as many, and a takeover of a
// thousand groups writes some ten thousand records.
func replace(temporary, path string, content []byte) error {
	fd, err := unix.Open(temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &fs.PathError{Op: "open", Path: temporary, Err: err}
	}
	for len(content) > 0 && err == nil {
		var n int
		if n, err = unix.Write(fd, content); errors.Is(err, unix.EINTR) {
			err = nil
			continue
		}
		content = content[max(n, 0):]
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return &fs.PathError{Op: "write", Path: temporary, Err: err}
	}
	if err := unix.Rename(temporary, path); err != nil {
		return &fs.PathError{Op: "rename", Path: path, Err: err}
	}
	return nil
}

func (s *Store) remove(dir, uid string) error {
	if !validUID(uid) {
		return fmt.Errorf("uid %q cannot name a file", uid)
	}
	err := os.Remove(filepath.Join(s.runDir, dir, uid+recordSuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing run state: %w", err)
	}
	return nil
}

// Damage is a file that could not be read as what it should be. It is left where it is, for whoever wants to look; what it stood
// for is found again by the types' own clean-up.
type Damage struct {
	Path string
	Err  error
}

func (d Damage) Error() string { return fmt.Sprintf("%s: %v", d.Path, d.Err) }

// Resources returns all records of resources, and what could not be read.
func (s *Store) Resources() ([]*Resource, []Damage) {
	return load(filepath.Join(s.runDir, resourcesDir), ParseResource, func(r *Resource) string { return r.Resource.UID })
}

// Groups returns all records of groups, and what could not be read.
func (s *Store) Groups() ([]*Group, []Damage) {
	return load(filepath.Join(s.runDir, groupsDir), ParseGroup, func(g *Group) string { return g.Group.UID })
}

func load[T any](dir string, parse func([]byte) (*T, error), uid func(*T) string) ([]*T, []Damage) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, []Damage{{Path: dir, Err: err}}
	}
	var records []*T
	var damage []Damage
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, recordSuffix) {
			continue // a temporary file of a writer that was killed, or is at work
		}
		path := filepath.Join(dir, name)
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			damage = append(damage, Damage{Path: path, Err: err})
			continue
		}
		record, err := parse(raw)
		if err == nil && uid(record)+recordSuffix != name {
			err = fmt.Errorf("%w: it is the record of %s", errGarbled, uid(record))
		}
		if err != nil {
			damage = append(damage, Damage{Path: path, Err: err})
			continue
		}
		records = append(records, record)
	}
	return records, damage
}

// Floor is the highest epoch of the group ever passed to RaiseFloor, 0 when none was (rule O7).
func (s *Store) Floor(groupUID string) model.Epoch {
	if s.floors == nil {
		return 0
	}
	return s.floors.get(groupUID)
}

// RaiseFloor remembers that the epoch of the group exists. It is on disk soon after (many groups share one fsync), and surely after
// SyncFloors: what a crash of the machine can lose in between is also made harmless by the new generation (rule O3).
func (s *Store) RaiseFloor(groupUID string, epoch model.Epoch) error {
	if s.floors == nil {
		return errors.New("this store was opened without a state directory")
	}
	return s.floors.raise(groupUID, epoch)
}

// SyncFloors returns when all that RaiseFloor was told is on disk.
func (s *Store) SyncFloors() error {
	if s.floors == nil {
		return nil
	}
	return s.floors.sync()
}

// At is the run state of a directory for reading only: nothing is made.
func At(runDir string) *Store { return &Store{runDir: runDir} }
