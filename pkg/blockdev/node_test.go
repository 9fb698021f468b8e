package blockdev

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNode refuses a node that is gone, or that has become another device's.
func TestNode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node")
	must(t, os.Symlink("/dev/null", path))
	n, err := NewNode(path)
	must(t, err)
	fd, err := n.Open()
	must(t, err)
	must(t, unix.Close(fd))
	must(t, os.Remove(path))
	if _, err := n.Open(); !errors.Is(err, ErrNode) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open() of a node that is gone = %v", err)
	}
	must(t, os.Symlink("/dev/zero", path))
	if _, err := n.Open(); !errors.Is(err, ErrNode) {
		t.Errorf("Open() of a node that has become another device's = %v", err)
	}
	if _, err := NewNode(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("NewNode() of nothing = %v", err)
	}
}
