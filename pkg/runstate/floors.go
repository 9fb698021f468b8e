package runstate

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"github.com/quorate/quorate/pkg/model"
)

// floors is a log of lines "UID EPOCH CRC": with a thousand groups that fail over at once, one file with one fsync for all is the
// difference between milliseconds and seconds.
type floors struct {
	mu     sync.Mutex
	synced *sync.Cond
	file   *os.File
	byUID  map[string]model.Epoch
	// pending are lines that are not yet in the file; err is the first failure to write, which sticks.
	pending  strings.Builder
	flushing bool
	err      error
}

const flushDelay = 2 * time.Millisecond

func openFloors(dir string) (*floors, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	path := filepath.Join(dir, "epochs")
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the groups' epochs: %w", err)
	}
	f := &floors{byUID: parseFloors(raw)}
	f.synced = sync.NewCond(&f.mu)
	// Written anew at each start: this bounds the log, and cuts off a torn last line.
	var text strings.Builder
	for _, uid := range slices.Sorted(maps.Keys(f.byUID)) {
		text.WriteString(floorLine(uid, f.byUID[uid]))
	}
	if err := renameio.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return nil, fmt.Errorf("writing the groups' epochs: %w", err)
	}
	if f.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, fmt.Errorf("opening the groups' epochs: %w", err)
	}
	return f, nil
}

func floorLine(uid string, epoch model.Epoch) string {
	body := uid + " " + strconv.FormatUint(uint64(epoch), 10)
	return fmt.Sprintf("%s %08x\n", body, crc32.ChecksumIEEE([]byte(body)))
}

// parseFloors keeps the highest epoch of each whole line and skips what is torn or garbled: too low a floor is caught by the
// disk's own epoch and by the assignment's.
func parseFloors(raw []byte) map[string]model.Epoch {
	byUID := map[string]model.Epoch{}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		epoch, err := strconv.ParseUint(fields[1], 10, 32)
		if err != nil || model.Epoch(epoch) > model.MaxEpoch || floorLine(fields[0], model.Epoch(epoch)) != line {
			continue
		}
		byUID[fields[0]] = max(byUID[fields[0]], model.Epoch(epoch))
	}
	return byUID
}

func (f *floors) get(uid string) model.Epoch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byUID[uid]
}

func (f *floors) raise(uid string, epoch model.Epoch) error {
	if !validUID(uid) || strings.ContainsAny(uid, " \n\t\r\v\f") {
		return fmt.Errorf("group uid %q cannot be kept", uid)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byUID[uid] >= epoch {
		return f.err
	}
	f.byUID[uid] = epoch
	f.pending.WriteString(floorLine(uid, epoch))
	if !f.flushing && f.err == nil {
		f.flushing = true
		go f.flush()
	}
	return f.err
}

// flush makes all lines durable that are appended while it waits and writes. Who appends never waits for the disk: a write to a
// file that is being synced does.
func (f *floors) flush() {
	time.Sleep(flushDelay)
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.pending.Len() > 0 && f.err == nil {
		lines, file := f.pending.String(), f.file
		f.pending.Reset()
		f.mu.Unlock()
		_, err := io.WriteString(file, lines)
		if err == nil {
			err = file.Sync()
		}
		f.mu.Lock()
		if err != nil {
			f.err = fmt.Errorf("writing the groups' epochs: %w", err)
		}
	}
	f.flushing = false
	f.synced.Broadcast()
}

func (f *floors) sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.flushing {
		f.synced.Wait()
	}
	return f.err
}

func (f *floors) close() error {
	err := f.sync()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return err
	}
	closeErr := f.file.Close()
	f.file = nil
	if f.err == nil {
		f.err = errors.New("the groups' epochs are closed")
	}
	return errors.Join(err, closeErr)
}
