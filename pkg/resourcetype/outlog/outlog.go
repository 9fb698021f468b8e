package outlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/quorate/quorate/pkg/resourcetype"
)

const (
	// Max is how large a log may grow, in bytes; one older part of the same size is kept.
	Max = 4 << 20
	// tail is how much of the log goes into an error message.
	tail = 400
)

// Path is the file that has the output of an instance's processes: logs/NAMESPACE.NAME.log in its RunDir.
func Path(inst *resourcetype.Instance) string {
	return filepath.Join(inst.RunDir, "logs", filepath.Base(inst.Resource.Namespace)+"."+filepath.Base(inst.Resource.Name)+".log")
}

// Open opens a log for appending, and makes it if need be.
func Open(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the application's log: %w", err)
	}
	if err := Bound(path); err != nil {
		return nil, err
	}
	// Appending keeps the process's own position right when the file is cut.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the application's log: %w", err)
	}
	return f, nil
}

// Bound moves what is in a log that is too large to a second file. The process has the file open, so it is copied and cut; what
// is written in between is lost.
func Bound(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < Max {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the application's log: %w", err)
	}
	old, err := readTail(path, Max)
	if err != nil {
		return fmt.Errorf("reading the application's log: %w", err)
	}
	if err := os.WriteFile(path+".1", old, 0o600); err != nil {
		return fmt.Errorf("keeping the application's log: %w", err)
	}
	if err := os.Truncate(path, 0); err != nil {
		return fmt.Errorf("cutting the application's log: %w", err)
	}
	return nil
}

func readTail(path string, size int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-size)
	return io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
}

// Last is the end of an instance's log, as the end of an error message; empty when there is none.
func Last(inst *resourcetype.Instance) string {
	raw, err := readTail(Path(inst), tail)
	text := strings.TrimSpace(strings.ToValidUTF8(string(raw), "?"))
	if err != nil || text == "" {
		return ""
	}
	return "; its output ends with: " + text
}
