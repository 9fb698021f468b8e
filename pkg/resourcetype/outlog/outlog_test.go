package outlog

import (
	"os"
	"path/filepath"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "a.log")
	f, err := Open(path)
	must(t, err)
	_, err = f.Write(make([]byte, Max+1))
	must(t, err)
	must(t, Bound(path))
	_, err = f.WriteString("more")
	must(t, err)
	must(t, f.Close())
	info, err := os.Stat(path)
	must(t, err)
	old, err := os.Stat(path + ".1")
	must(t, err)
	if info.Size() != 4 || old.Size() != Max {
		t.Errorf("the log has %d bytes and its older part %d", info.Size(), old.Size())
	}
}
