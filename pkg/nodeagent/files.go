package nodeagent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/membership"
)

// Files of the agent.
const (
	settingsFile   = "cluster.json"    // state directory: Settings, with the heartbeat keys
	persistentFile = "membership.json" // state directory: membership.Persistent
	volatileFile   = "membership.json" // run directory: membership.Volatile
	statusFile     = "status.json"     // run directory: LocalStatus, for `quorate-agent status`
	agentLockFile  = "agent.lock"      // run directory: held by the agent that runs; journalFile is in journalfile.go
)

// files are where the agent keeps what a later one must find.
type files struct {
	stateDir, runDir string
}

func openFiles(stateDir, runDir string) (*files, error) {
	for _, dir := range []string{stateDir, runDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the agent's directories: %w", err)
		}
	}
	return &files{stateDir: stateDir, runDir: runDir}, nil
}

// lock waits until no other agent of this host runs. The kernel gives the lock back however the other one ended.
func (f *files) lock() (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(f.runDir, agentLockFile), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the agent's lock: %w", err)
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for another agent of this host to end: %w", err), file.Close())
	}
	return file, nil
}

// readJSON reads a file into a new T; nil when there is no file.
func readJSON[T any](path string) (*T, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what the agent remembers: %w", err)
	}
	v := new(T)
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return v, nil
}

// writeDurable replaces a file of the state directory; when it returns, the content is on disk.
func writeDurable(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return writeDurably(path, raw)
}

// writeDurably is writeDurable for what is encoded already.
func writeDurably(path string, raw []byte) error {
	if err := renameio.WriteFile(path, raw, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	// Without it the new name may be lost with the power although the content is on disk.
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// writeFast replaces a file of the run directory, atomically and without fsync: after a crash of the machine nobody wants it.
func writeFast(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func (f *files) journalPath() string { return filepath.Join(f.stateDir, journalFile) }

func (f *files) loadSettings() (*Settings, error) {
	return readJSON[Settings](filepath.Join(f.stateDir, settingsFile))
}

func (f *files) saveSettings(s *Settings) error {
	return writeDurable(filepath.Join(f.stateDir, settingsFile), s)
}

func (f *files) loadPersistent() (*membership.Persistent, error) {
	return readJSON[membership.Persistent](filepath.Join(f.stateDir, persistentFile))
}

func (f *files) savePersistent(p *membership.Persistent) error {
	return writeDurable(filepath.Join(f.stateDir, persistentFile), p)
}

// volatile is membership.Volatile with the boot that it belongs to: the run directory should be gone after a reboot, but a host
// whose /run is not in memory must not take old promises for new ones.
type volatile struct {
	BootID string `json:"bootID"`
	membership.Volatile
}

// loadVolatile returns nil when there is nothing of this boot, or when it is garbled: then the agent starts as after a reboot.
func (f *files) loadVolatile(bootID string) (*membership.Volatile, error) {
	v, err := readJSON[volatile](filepath.Join(f.runDir, volatileFile))
	if err != nil || v == nil || v.BootID != bootID {
		return nil, err
	}
	return &v.Volatile, nil
}

func (f *files) saveVolatile(bootID string, v *membership.Volatile) error {
	return writeFast(filepath.Join(f.runDir, volatileFile), volatile{BootID: bootID, Volatile: *v})
}

// forgetMembership removes what ties the host to a node id; incarnation and generation go on from the seed.
func (f *files) forgetMembership(seed *membership.Persistent) error {
	for _, path := range []string{filepath.Join(f.runDir, volatileFile), filepath.Join(f.stateDir, settingsFile)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting the membership: %w", err)
		}
	}
	return f.savePersistent(seed)
}
