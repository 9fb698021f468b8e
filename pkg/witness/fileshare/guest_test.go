package fileshare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
	"github.com/quorate/quorate/test/vm/guest"
)

// soft are the options of a mount of which nothing is shared with other mounts, as if each was another host's. Its caches are the usual ones.
const soft = "nosharecache,soft,timeo=10,retrans=1"

func onNFS(path string) Options { return Options{Path: path, Cluster: witnesstest.Cluster} }

func openNFS(t *testing.T, path string) witness.Device {
	t.Helper()
	d, err := Open(t.Context(), onNFS(path))
	must(t, err)
	return d
}

// TestGuestNFS has all that needs a real NFS server, in an order in which one server is enough: it takes long to start.
func TestGuestNFS(t *testing.T) {
	guest.Require(t)
	s := guest.NewNFS(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *guest.NFS)
	}{{"conformance", testConformanceOnNFS}, {"restart", testRestart}, {"hung", testHung}, {"stale handle", testStaleHandle}} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

// export makes a directory for a test of its own on the server.
func export(t *testing.T, s *guest.NFS, name string) {
	t.Helper()
	must(t, os.Mkdir(filepath.Join(s.Export, name), 0o700))
}

// testConformanceOnNFS: a directory of a real NFS server, mounted by each host for itself with the usual caches, is a witness.
func testConformanceOnNFS(t *testing.T, s *guest.NFS) {
	mounts := map[model.NodeID]string{}
	n := 0
	witnesstest.Run(t, func(tt *testing.T) witnesstest.Open {
		n++
		name := fmt.Sprintf("witness%d", n)
		export(tt, s, name)
		return func(tt *testing.T, node model.NodeID) witness.Device {
			if mounts[node] == "" {
				mounts[node] = s.Mount(t, soft)
			}
			path := filepath.Join(mounts[node], name)
			guest.Eventually(tt, path, func() bool { _, err := os.Stat(path); return err == nil })
			return openNFS(tt, path)
		}
	})
}

// heldNFS is a witness that node 1 holds.
func heldNFS(t *testing.T, path string) witness.Device {
	t.Helper()
	d, me := openNFS(t, path), witnesstest.Key(t, 1, 1)
	must(t, d.Register(t.Context(), me))
	must(t, d.Take(t.Context(), me, 0))
	return d
}

// testRestart: while the server is down calls end in errors; when it is up again everything is as it was.
func testRestart(t *testing.T, s *guest.NFS) {
	export(t, s, "restart")
	a, b := heldNFS(t, filepath.Join(s.Mount(t, soft), "restart")), openNFS(t, filepath.Join(s.Mount(t, soft), "restart"))
	keyA, keyB := witnesstest.Key(t, 1, 1), witnesstest.Key(t, 2, 1)
	must(t, b.Register(t.Context(), keyB))
	want := witness.Content{ClusterID: witnesstest.Cluster, Committed: quorum.NewRecord(3, 1, []model.NodeID{1, 2}), State: []byte("state"), StateVersion: 1}
	must(t, a.Save(t.Context(), keyA, want))
	s.Stop(t)
	if _, err := a.Look(t.Context(), keyA); !errors.Is(err, witness.ErrUnreachable) {
		t.Errorf("while the server is down: %v, want %v", err, witness.ErrUnreachable)
	}
	s.Start(t)
	guest.Eventually(t, "the server", func() bool {
		_, err := a.Look(t.Context(), keyA)
		return err == nil
	})
	st, err := a.Look(t.Context(), keyA)
	must(t, err)
	if st.Holder != keyA || !st.Registered(keyB) {
		t.Errorf("after the restart: %+v", st)
	}
	must(t, b.Take(t.Context(), keyB, keyA))
	got, err := b.Load(t.Context())
	must(t, err)
	if !got.Committed.Equal(want.Committed) || string(got.State) != "state" {
		t.Errorf("after the restart it holds %+v", got)
	}
	if st, err = a.Look(t.Context(), keyA); err != nil || st.Holder != keyB {
		t.Errorf("the old holder reads %+v, %v", st, err)
	}
}

// testHung: a server that answers nothing hangs one call, and nobody who waits for it.
func testHung(t *testing.T, s *guest.NFS) {
	export(t, s, "hung")
	path := filepath.Join(s.Mount(t, "hard"), "hung")
	a, me := heldNFS(t, path), witnesstest.Key(t, 1, 1)
	async := witness.NewAsync(witness.NewGuard(1), path, func(context.Context) (witness.Device, error) { return a, nil })
	look := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		done := make(chan error, 1)
		async.Do(ctx, func(ctx context.Context, d witness.Device) error {
			_, err := d.Look(ctx, me)
			return err
		}, func(err error) { done <- err })
		return <-done
	}
	must(t, look(time.Minute))
	s.Hang(t)
	if err := look(2 * time.Second); !errors.Is(err, witness.ErrUnreachable) {
		t.Errorf("while the server does not answer: %v, want %v", err, witness.ErrUnreachable)
	}
	if err := look(2 * time.Second); !errors.Is(err, witness.ErrHung) {
		t.Errorf("the next call: %v, want %v", err, witness.ErrHung)
	}
	s.Resume(t)
	guest.Eventually(t, "the hanging call", func() bool { return !async.Hung() })
	must(t, look(time.Minute))
}

// testStaleHandle: an export that is taken away below a mount, or put back from nothing, is not the witness that it was. Nothing is left for
// later tests.
func testStaleHandle(t *testing.T, s *guest.NFS) {
	must(t, os.RemoveAll(s.Export))
	must(t, os.Mkdir(s.Export, 0o755))
	a, me := heldNFS(t, s.Mount(t, soft)), witnesstest.Key(t, 1, 1)
	s.MakeStale(t)
	if _, err := a.Look(t.Context(), me); !errors.Is(err, witness.ErrAbsent) && !errors.Is(err, witness.ErrUnreachable) {
		t.Errorf("with a stale handle: %v, want %v or %v", err, witness.ErrAbsent, witness.ErrUnreachable)
	}
	// Mounted anew, the empty export is there; the device of before does not take it for its own.
	path := s.Mount(t, soft)
	must(t, heldNFS(t, path).Close())
}

// TestGuestNotMounted: the mount point of a share that is not mounted is refused.
func TestGuestNotMounted(t *testing.T) {
	guest.Require(t)
	if _, err := Open(t.Context(), onNFS(t.TempDir())); !errors.Is(err, witness.ErrNotShared) {
		t.Errorf("got %v, want %v", err, witness.ErrNotShared)
	}
}
