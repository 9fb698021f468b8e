package runstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/quorate/quorate/pkg/model"
)

// Lock is the guardian's word that it has begun to stop everything of a generation: that generation is burnt, and no agent adopts
// anything of it (rule O11). The order matters: an agent writes its process into the lease, then looks for the lock; the guardian
// makes the lock, then reads whom to kill.
type Lock struct {
	Generation model.Generation `json:"generation"`
	BootID     string           `json:"bootID"`
	// At is the boottime at which it was made; Reason says why.
	At     time.Duration `json:"at"`
	Reason string        `json:"reason"`
}

const lockName = "guardian.lock"

// WriteLock makes the lock.
func WriteLock(runDir string, l Lock) error {
	raw, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encoding the guardian's lock: %w", err)
	}
	// Run directories are in memory: renameio's fsync costs nothing there.
	if err := renameio.WriteFile(filepath.Join(runDir, lockName), raw, 0o600); err != nil {
		return fmt.Errorf("writing the guardian's lock: %w", err)
	}
	return nil
}

// ReadLock returns the lock, or nil when there is none. A garbled lock counts as one of every generation: Generation is then the
// largest that there can be.
func ReadLock(runDir string) (*Lock, error) {
	raw, err := os.ReadFile(filepath.Join(runDir, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the guardian's lock: %w", err)
	}
	var l Lock
	if err := json.Unmarshal(raw, &l); err != nil {
		return &Lock{Generation: ^model.Generation(0), Reason: "the lock is garbled"}, nil //nolint:nilerr // garbled is locked
	}
	return &l, nil
}

// Burns reports whether the lock forbids the generation.
func (l *Lock) Burns(generation model.Generation) bool { return l != nil && generation <= l.Generation }

// RemoveLock is for an agent that has a newer generation and has cleaned up.
func RemoveLock(runDir string) error {
	if err := os.Remove(filepath.Join(runDir, lockName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the guardian's lock: %w", err)
	}
	return nil
}
