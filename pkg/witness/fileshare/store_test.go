package fileshare

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/swap"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func options(path string) Options {
	return Options{Path: path, Cluster: witnesstest.Cluster, AnyFileSystem: true}
}

// over returns the witness in a directory as seen through a wrapper.
func over(path string, wrap func(directory) directory) witnesstest.Open {
	return func(t *testing.T, _ model.NodeID) witness.Device {
		t.Helper()
		d, err := open(wrap(mounted{path: path}), options(path))
		must(t, err)
		return d
	}
}

func plain(d directory) directory { return d }

func TestConformance(t *testing.T) {
	witnesstest.Run(t, func(t *testing.T) witnesstest.Open { return over(t.TempDir(), plain) })
}

// stale is a directory whose every third listing is the one before, as an NFS client's may be.
type stale struct {
	directory
	lists  atomic.Int64
	before []string
}

func (d *stale) list() ([]string, error) {
	names, err := d.directory.list()
	if err != nil {
		return nil, err
	}
	answer := names
	if d.lists.Add(1)%3 == 0 && d.before != nil {
		answer = d.before
	}
	d.before = names
	return answer, nil
}

func TestConformanceStale(t *testing.T) {
	witnesstest.RunStale(t, func(t *testing.T) witnesstest.Open {
		return over(t.TempDir(), func(d directory) directory { return &stale{directory: d} })
	})
}

// faulty is a directory whose next rename or link does something else than it says.
type faulty struct {
	directory
	rename1, link1 func(real func() error) error
}

func (d *faulty) rename(old, name string) error {
	return once(&d.rename1, func() error { return d.directory.rename(old, name) })
}

func (d *faulty) link(old, name string) error {
	return once(&d.link1, func() error { return d.directory.link(old, name) })
}

func once(hook *func(func() error) error, real func() error) error {
	if f := *hook; f != nil {
		*hook = nil
		return f(real)
	}
	return real()
}

// repeated is what an NFS server that was restarted between a request and its repetition answers: the first was carried out, the
// repetition finds things changed.
func repeated(real func() error) error {
	if err := real(); err != nil {
		return err
	}
	return real()
}

// TestLostAnswers: a rename or link that was carried out but whose repetition fails counts as carried out.
func TestLostAnswers(t *testing.T) {
	path := t.TempDir()
	d := &faulty{directory: mounted{path: path}, link1: repeated}
	a := over(path, func(directory) directory { return d })(t, 1)
	me := witnesstest.Key(t, 1, 1)
	must(t, a.Register(t.Context(), me))
	d.rename1 = repeated
	must(t, a.Take(t.Context(), me, 0))
	d.rename1 = repeated
	st, err := a.Look(t.Context(), me)
	must(t, err)
	if st.Holder != me {
		t.Errorf("held by %s", st.Holder)
	}
	if n := count(t, path, headPrefix); n != 1 {
		t.Errorf("%d heads, want one", n)
	}
}

// TestFrozen: a host that is frozen between its read and its swap, while hundreds of documents come and go, does not win when it
// thaws. (Numbered files made by link(2) would let it: its number is free again.)
func TestFrozen(t *testing.T) {
	path := t.TempDir()
	a, other := over(path, plain)(t, 1), over(path, plain)(t, 2)
	keyA, keyB := witnesstest.Key(t, 1, 1), witnesstest.Key(t, 2, 1)
	must(t, a.Register(t.Context(), keyA))
	must(t, a.Take(t.Context(), keyA, 0))
	must(t, other.Register(t.Context(), keyB))

	d := &faulty{directory: mounted{path: path}}
	frozen := over(path, func(directory) directory { return d })(t, 2)
	d.rename1 = func(real func() error) error {
		must(t, a.Remove(t.Context(), keyA, keyB))
		for range 2 * tidyEvery {
			_, err := a.Look(t.Context(), keyA)
			must(t, err)
		}
		err := real()
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the late rename: %v, want %v", err, fs.ErrNotExist)
		}
		return err
	}
	if err := frozen.Take(t.Context(), keyB, keyA); !errors.Is(err, witness.ErrConflict) {
		t.Errorf("the late take: %v, want a conflict", err)
	}
	st, err := a.Look(t.Context(), keyA)
	must(t, err)
	if st.Holder != keyA {
		t.Errorf("held by %s", st.Holder)
	}
}

func count(t *testing.T, path, prefix string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(path)
	must(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			n++
		}
	}
	return n
}

// TestTidy: what piles up is removed, what is needed stays.
func TestTidy(t *testing.T) {
	path := t.TempDir()
	a := over(path, plain)(t, 1)
	me := witnesstest.Key(t, 1, 1)
	must(t, a.Register(t.Context(), me))
	must(t, a.Take(t.Context(), me, 0))
	loser := point{root: 5, number: 1, nonce: 6}
	unfinished, fresh := newPrefix+"0000000000000001", newPrefix+"0000000000000002"
	for _, name := range []string{loser.head(), loser.doc(), unfinished, fresh, statePrefix + "1.ab", "somebody's file"} {
		must(t, os.WriteFile(filepath.Join(path, name), nil, 0o600))
	}
	old := time.Now().Add(-2 * abandoned)
	must(t, os.Chtimes(filepath.Join(path, unfinished), old, old))
	for v := range uint64(2 * tidyEvery) {
		must(t, a.Save(t.Context(), me, witness.Content{ClusterID: witnesstest.Cluster, State: []byte{1}, StateVersion: v + 2}))
	}
	for prefix, want := range map[string]int{headPrefix: 1, docPrefix: 1, newPrefix: 1, "somebody": 1, identityName: 1} {
		if n := count(t, path, prefix); n != want {
			t.Errorf("%d files %s*, want %d", n, prefix, want)
		}
	}
	if n := count(t, path, statePrefix); n > tidyEvery+1 {
		t.Errorf("%d states are kept", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	cases := map[string]struct {
		o    Options
		want error
	}{
		"no such directory":  {options(filepath.Join(dir, "gone")), witness.ErrAbsent},
		"a file":             {options(file), witness.ErrAbsent},
		"not a shared mount": {Options{Path: dir, Cluster: witnesstest.Cluster}, witness.ErrNotShared},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(t.Context(), tc.o); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestUnmounted: a share that goes away under a running agent leaves an empty directory of this host, which is not the witness.
func TestUnmounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	must(t, os.Mkdir(path, 0o700))
	a := over(path, plain)(t, 1)
	me := witnesstest.Key(t, 1, 1)
	must(t, a.Register(t.Context(), me))
	must(t, a.Take(t.Context(), me, 0))
	must(t, os.Rename(path, path+".server"))
	must(t, os.Mkdir(path, 0o700))
	if _, err := a.Look(t.Context(), me); !errors.Is(err, witness.ErrAbsent) {
		t.Errorf("an empty directory in its place: %v, want %v", err, witness.ErrAbsent)
	}
	if err := a.Register(t.Context(), me); !errors.Is(err, witness.ErrAbsent) || count(t, path, "") != 0 {
		t.Errorf("registering there: %v, want %v and nothing written", err, witness.ErrAbsent)
	}
	must(t, os.Remove(path))
	must(t, os.Rename(path+".server", path))
	if st, err := a.Look(t.Context(), me); err != nil || st.Holder != me {
		t.Errorf("when it is back: %+v, %v", st, err)
	}
}

func TestGarbled(t *testing.T) {
	cases := map[string]func(t *testing.T, path string){
		"identity": func(t *testing.T, path string) {
			must(t, os.WriteFile(filepath.Join(path, identityName), []byte("x"), 0o600))
		},
		"no head": func(t *testing.T, path string) {
			must(t, os.WriteFile(filepath.Join(path, identityName), []byte("000000000000abcd\n"), 0o600))
		},
		"no document": func(t *testing.T, path string) {
			p := point{root: 0xabcd, number: 3, nonce: 9}
			must(t, os.WriteFile(filepath.Join(path, identityName), []byte("000000000000abcd\n"), 0o600))
			must(t, os.WriteFile(filepath.Join(path, p.head()), nil, 0o600))
		},
		"document": func(t *testing.T, path string) {
			p := point{root: 0xabcd, number: 3, nonce: 9}
			must(t, os.WriteFile(filepath.Join(path, identityName), []byte("000000000000abcd\n"), 0o600))
			must(t, os.WriteFile(filepath.Join(path, p.head()), nil, 0o600))
			must(t, os.WriteFile(filepath.Join(path, p.doc()), []byte("{"), 0o600))
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			spoil(t, path)
			a := over(path, plain)(t, 1)
			if _, err := a.Look(t.Context(), witnesstest.Key(t, 1, 1)); !errors.Is(err, witness.ErrGarbled) {
				t.Errorf("look: %v, want %v", err, witness.ErrGarbled)
			}
		})
	}
}

func TestTranslate(t *testing.T) {
	s := &store{path: "/w"}
	for err, want := range map[error]error{
		unix.EIO: witness.ErrUnreachable, unix.ESTALE: witness.ErrUnreachable, unix.ETIMEDOUT: witness.ErrUnreachable,
		unix.EACCES: witness.ErrRefused, unix.EROFS: witness.ErrRefused, unix.ENOSPC: witness.ErrRefused, unix.ENOENT: witness.ErrAbsent,
	} {
		if got := s.translate("reading", err); !errors.Is(got, want) || !errors.Is(got, err) {
			t.Errorf("%v becomes %v, want %v", err, got, want)
		}
	}
}

// FuzzNames: a name is taken for ours only if it is exactly one that we write.
func FuzzNames(f *testing.F) {
	f.Add(point{root: 1, number: 2, nonce: 3}.head())
	f.Add(stateName(swap.StateRef{Version: 3, Sum: "ab"}))
	f.Add("head.1.2.3")
	f.Fuzz(func(t *testing.T, name string) {
		if p, ok := parsePoint(name, headPrefix); ok && p.head() != name {
			t.Errorf("%q reads as %q", name, p.head())
		}
		parseState(name)
	})
}
