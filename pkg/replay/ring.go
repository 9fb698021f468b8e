package replay

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

const (
	prefix = "decision-"
	suffix = ".json.gz"
	// waiting is how many records may wait to be written; more at once are left out rather than held in memory.
	waiting = 8
)

// Ring keeps the latest records in a directory. Writing happens in Run, beside the decisions: a failover never waits for it.
type Ring struct {
	// Dir is the directory, which is made.
	Dir string
	// Keep is how many records are kept; the oldest go first.
	Keep int

	records chan *Record
}

// NewRing returns a ring of so many files in the directory.
func NewRing(dir string, keep int) *Ring {
	return &Ring{Dir: dir, Keep: keep, records: make(chan *Record, waiting)}
}

// Put hands a record over, and says whether there was room for it.
func (r *Ring) Put(record *Record) bool {
	select {
	case r.records <- record:
		return true
	default:
		return false
	}
}

// Run writes records until ctx ends. failed is told of each that could not be written.
func (r *Ring) Run(ctx context.Context, failed func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case record := <-r.records:
			if err := r.write(record); err != nil {
				failed(err)
			}
		}
	}
}

// write writes one record, whole or not at all, and takes the oldest away.
func (r *Ring) write(record *Record) error {
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return fmt.Errorf("keeping a decision: %w", err)
	}
	name := prefix + record.Time.UTC().Format("20060102T150405.000000000Z") + suffix
	file, err := renameio.NewPendingFile(filepath.Join(r.Dir, name), renameio.WithPermissions(0o600))
	if err != nil {
		return fmt.Errorf("keeping a decision: %w", err)
	}
	defer func() { _ = file.Cleanup() }() // after a replacement there is nothing to clean up
	if err := record.Write(file); err != nil {
		return fmt.Errorf("keeping a decision: %w", err)
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("keeping a decision: %w", err)
	}
	names, err := List(r.Dir)
	if err != nil {
		return err
	}
	for len(names) > max(r.Keep, 1) {
		if err := os.Remove(filepath.Join(r.Dir, names[0])); err != nil {
			return fmt.Errorf("taking an old decision away: %w", err)
		}
		names = names[1:]
	}
	return nil
}

// List names the records in a directory, oldest first. A directory that is not there has none.
func List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("listing kept decisions: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), suffix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
