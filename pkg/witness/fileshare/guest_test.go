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

// TestGuestConformance: a directory of a real NFS server, mounted by each host for itself with the usual caches, is a witness.
func TestGuestConformance(t *testing.T) {
	guest.Require(t)
	s := guest.NewNFS(t)
	mounts := map[model.NodeID]string{}
	n := 0
	witnesstest.Run(t, func(tt *testing.T) witnesstest.Open {
		n++
		name := fmt.Sprintf("witness%d", n)
		must(tt, os.Mkdir(filepath.Join(s.Export, name), 0o700))
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

// TestGuestRestart: while the server is down calls end in errors; when it is up again everything is as it was.
func TestGuestRestart(t *testing.T) {
	guest.Require(t)
	s := guest.NewNFS(t)
	a, b := heldNFS(t, s.Mount(t, soft)), openNFS(t, s.Mount(t, soft))
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

// TestGuestHung: a server that answers nothing hangs one call, and nobody who waits for it.
func TestGuestHung(t *testing.T) {
	guest.Require(t)
	s := guest.NewNFS(t)
	path := s.Mount(t, "hard")
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

// TestGuestStaleHandle: an export that is taken away below a mount, or put back from nothing, is not the witness that it was.
func TestGuestStaleHandle(t *testing.T) {
	guest.Require(t)
	s := guest.NewNFS(t)
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
