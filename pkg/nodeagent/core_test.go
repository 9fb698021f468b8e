package nodeagent

import (
	"context"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/runstate"
)

// pair starts the cores of two nodes on the loopback interface and returns the one that loses quorum with the other: of two voters
// the one with the highest id does not count (R5). changed is called by it.
func pair(t *testing.T, changed func(*core)) (loser *core, endOther func()) {
	t.Helper()
	ends := make([]context.CancelFunc, 2)
	cores := make([]*core, 2)
	var wait sync.WaitGroup
	for i := range cores {
		s := &Settings{
			Cluster: "demo", ClusterID: "00000000000000ab", Self: model.NodeID(i + 1), Interval: 100 * time.Millisecond, Threshold: 8,
			Port: uint16(20000 + os.Getpid()%20000), SelfFence: time.Second, DynamicVotes: true, Keys: [][]byte{testKey},
			Networks: []NetworkSettings{{Name: "hb", Heartbeats: true}},
		}
		for id := range 2 {
			s.Nodes = append(s.Nodes, NodeSettings{
				Name: string(rune('a' + id)), ID: model.NodeID(id + 1), Votes: 1,
				Addresses: map[string]string{"hb": netip.AddrFrom4([4]byte{127, 62, 1, byte(id + 1)}).String()},
			})
		}
		files, err := openFiles(t.TempDir(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		p := membership.Persistent{Incarnation: 1, Generation: 1, HighestView: 1, Committed: quorum.NewRecord(1, 0, []model.NodeID{1, 2})}
		if err := files.savePersistent(&p); err != nil {
			t.Fatal(err)
		}
		log := testr.NewWithOptions(t, testr.Options{Verbosity: -1})
		l, err := openLease(files.runDir, "boot", runstate.BootTime, log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.close() })
		c := newCore(files, "boot", l, runstate.BootTime, log, func() {})
		if i == 1 {
			c.changed = func() { changed(c) }
		}
		if err := c.start(s, func(model.Generation) bool { return false }, membership.Persistent{}); err != nil {
			t.Fatal(err)
		}
		var ctx context.Context
		ctx, ends[i] = context.WithCancel(t.Context())
		wait.Go(func() { c.run(ctx) })
		if err := c.setReady(ctx, c.standing().Self.Generation); err != nil {
			// The loop has not made its first picture yet.
			time.Sleep(200 * time.Millisecond)
			if err := c.setReady(ctx, c.standing().Self.Generation); err != nil {
				t.Fatal(err)
			}
		}
		cores[i] = c
	}
	t.Cleanup(func() {
		for _, end := range ends {
			end()
		}
		wait.Wait()
	})
	return cores[1], ends[0]
}

// TestLossIsToldBeforeTheDiskIsWritten: everything begins to stop although the state directory, which must learn of the new
// generation before anything more is sent, may take its time.
func TestLossIsToldBeforeTheDiskIsWritten(t *testing.T) {
	var mu sync.Mutex
	var keeping model.Generation
	lost := make(chan string, 1)
	loser, endOther := pair(t, func(c *core) {
		mu.Lock()
		defer mu.Unlock()
		s := c.standing()
		if s.Keeping {
			keeping = s.Self.Generation
		}
		if keeping == 0 || s.Self.Generation <= keeping {
			return
		}
		verdict := ""
		if p, err := c.files.loadPersistent(); err != nil || p.Generation > keeping {
			verdict = "the others were told only when the disk had been written"
		}
		if l, err := runstate.ReadLease(c.files.runDir); err != nil || l.Generation > keeping {
			verdict = "the lease is of another life already"
		}
		select {
		case lost <- verdict:
		default:
		}
	})
	for begin := time.Now(); !loser.standing().Keeping; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("no view of two: %+v", loser.standing().Status)
		}
	}
	endOther()
	select {
	case verdict := <-lost:
		if verdict != "" {
			t.Error(verdict)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("quorum was not lost: %+v", loser.standing().Status)
	}
}
