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
)

const (
	guardConfigName = "guard.json"
	guardStatusName = "guardian.json"
)

// GuardConfig is what the agent tells the guardian beside the lease.
type GuardConfig struct {
	// WatchdogDevice is the cluster's selfFence.watchdogDevice; empty when it names none.
	WatchdogDevice string `json:"watchdogDevice,omitempty"`
}

// GuardStatus is what the guardian tells the agent.
type GuardStatus struct {
	// PID is the guardian that wrote it: what an earlier one said counts no more.
	PID int `json:"pid"`
	// Watchdog is the armed device; empty when none is.
	Watchdog string `json:"watchdog,omitempty"`
	// Identity is how its driver names itself, Timeout how long the device waits to be fed.
	Identity string        `json:"identity,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`
	// Problem is why the device that the cluster names is not armed.
	Problem string `json:"problem,omitempty"`
}

// WriteGuardConfig is for the agent.
func WriteGuardConfig(runDir string, c GuardConfig) error { return putJSON(runDir, guardConfigName, c) }

// ReadGuardConfig is for the guardian; without a file it is empty.
func ReadGuardConfig(runDir string) (GuardConfig, error) {
	return getJSON[GuardConfig](runDir, guardConfigName)
}

// WriteGuardStatus is for the guardian.
func WriteGuardStatus(runDir string, s GuardStatus) error { return putJSON(runDir, guardStatusName, s) }

// ReadGuardStatus is for the agent; without a file it is empty.
func ReadGuardStatus(runDir string) (GuardStatus, error) {
	return getJSON[GuardStatus](runDir, guardStatusName)
}

func putJSON(runDir, name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	if err := renameio.WriteFile(filepath.Join(runDir, name), raw, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func getJSON[T any](runDir, name string) (T, error) {
	var v T
	raw, err := os.ReadFile(filepath.Join(runDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return v, fmt.Errorf("reading %s: %w", name, err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("reading %s: %w: %w", name, errGarbled, err)
	}
	return v, nil
}
