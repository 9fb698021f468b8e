package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "disk.img")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Truncate(file, MinSize))
	small := filepath.Join(dir, "small.img")
	must(t, os.WriteFile(small, make([]byte, block), 0o600))
	cases := map[string]struct {
		path string
		want error
	}{
		"not there":                     {filepath.Join(dir, "gone"), witness.ErrAbsent},
		"a directory":                   {dir, witness.ErrAbsent},
		"a character device":            {"/dev/null", witness.ErrAbsent},
		"too small":                     {small, witness.ErrTooSmall},
		"a file that anybody may write": {file, witness.ErrNoReservations},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(t.Context(), Options{Device: tc.path, Cluster: witnesstest.Cluster, Nexus: "a"}); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestDirect reads and writes a real file past the page cache.
func TestDirect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Truncate(path, MinSize))
	s, err := openStorage(path)
	must(t, err)
	m := newMemory()
	d, err := New(t.Context(), path, m.target.Host("1"), s, witnesstest.Cluster)
	must(t, err)
	me := witnesstest.Key(t, 1, 1)
	must(t, d.Register(t.Context(), me))
	must(t, d.Take(t.Context(), me, 0))
	want := content(3)
	must(t, d.Save(t.Context(), me, want))
	must(t, d.Close())
	if s, err = openStorage(path); err != nil {
		t.Fatal(err)
	}
	again, err := New(t.Context(), path, m.target.Host("1"), s, witnesstest.Cluster)
	must(t, err)
	got, err := again.Load(t.Context())
	must(t, err)
	if got.StateVersion != 3 || string(got.State) != string(want.State) || !got.Committed.Equal(want.Committed) {
		t.Errorf("read back: %v, state %d", got.Committed, got.StateVersion)
	}
	must(t, again.Close())
}
