package replay_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/policy/polictest"
	"github.com/quorate/quorate/pkg/replay"
)

// TestReplayAgrees: over random snapshots, what was written and read decides as the original did.
func TestReplayAgrees(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	decided := 0
	for seed := range uint64(300) {
		s, now := polictest.RandomSnapshot(rand.New(rand.NewPCG(seed, 3)))
		for i := range s.Groups {
			if i%2 == 0 {
				s.Groups[i].Failback.Location = berlin
			}
		}
		decisions := policy.Plan(s, now).Decisions
		decided += len(decisions)
		r := reread(t, replay.New(s, now.In(berlin), decisions))
		if diff := cmp.Diff(s, r.Snapshot, cmp.Comparer(func(a, b *time.Location) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); diff != "" {
			t.Fatalf("seed %d: the snapshot that was read is another (-written +read):\n%s", seed, diff)
		}
		if _, differences := r.Replay(); len(differences) > 0 {
			t.Fatalf("seed %d: %+v", seed, differences)
		}
	}
	if decided < 100 {
		t.Errorf("only %d decisions in all: the test shows nothing", decided)
	}
}

func reread(t *testing.T, r *replay.Record) *replay.Record {
	t.Helper()
	var file bytes.Buffer
	if err := r.Write(&file); err != nil {
		t.Fatal(err)
	}
	out, err := replay.Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// small is a decision about two groups on two nodes.
func small() (*model.Snapshot, time.Time) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := &model.Snapshot{View: &model.View{ID: model.ViewID{Number: 1, Coordinator: 1}, Quorate: true}}
	for i, name := range []string{"a", "b"} {
		id := model.NodeID(i + 1)
		s.Nodes = append(s.Nodes, model.Node{Name: name, ID: id, Generation: 1, Connected: true, Availability: model.Available})
		s.View.Members = append(s.View.Members, model.ViewMember{Member: model.Member{ID: id, Generation: 1}, ReachesAPI: true})
		s.Groups = append(s.Groups, model.Group{Key: model.GroupKey{Namespace: "demo", Name: "g-" + name}, Mode: model.ModeFailover, DesiredOnline: true, Priority: 2000, PreferredOwners: []string{name}})
	}
	return s, now
}

// TestReplayTellsDifferences: a decision that was another, was not made, or is not made any more is told.
func TestReplayTellsDifferences(t *testing.T) {
	s, now := small()
	decisions := policy.Plan(s, now).Decisions
	if len(decisions) != 2 {
		t.Fatalf("%d decisions", len(decisions))
	}
	gone := decisions[1]
	gone.Group.Name = "gone"
	changed := decisions[0]
	changed.Assignment.Node = "b"
	r := reread(t, replay.New(s, now, []policy.Decision{changed, gone}))
	_, differences := r.Replay()
	var got []string
	for _, d := range differences {
		got = append(got, fmt.Sprintf("%s %t %t", d.Group.Name, d.Recorded != nil, d.Now != nil))
	}
	if diff := cmp.Diff([]string{"g-a true true", "g-b false true", "gone true false"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMoves(t *testing.T) {
	for kind, want := range map[policy.Kind]bool{policy.Assign: true, policy.Withdraw: true, policy.GiveUp: true, policy.Balance: true, policy.Settle: false, policy.FinishMove: false, policy.Recover: false} {
		if got := replay.Moves([]policy.Decision{{Kind: policy.Settle}, {Kind: kind}}); got != want {
			t.Errorf("%s: %t", kind, got)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "this is no record of a decision",
		"{}":               "it has no snapshot",
		`{"snapshot": {}}`: "it has no time",
		"\x1f\x8b broken":  "reading the record",
		`{"snapshot": {"Groups": [{"Failback": {"Location": "Mars/Olympus"}}]}}`: "time zone of a failback window",
	} {
		if _, err := replay.Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestRing: only the latest are kept, whole, and who decides never waits.
func TestRing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	if names, err := replay.List(dir); err != nil || len(names) != 0 {
		t.Fatalf("%v, %v", names, err)
	}
	ring := replay.NewRing(dir, 3)
	ctx, cancel := context.WithCancel(t.Context())
	s, now := small()
	refused := 0
	for range 20 {
		if !ring.Put(replay.New(s, now, nil)) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("20 records found room although nothing wrote them")
	}
	done := make(chan struct{})
	go func() {
		ring.Run(ctx, func(err error) { t.Error(err) })
		close(done)
	}()
	last := replay.New(s, now.Add(time.Hour), policy.Plan(s, now).Decisions)
	for i := 0; i < 5; {
		if ring.Put(replay.New(s, now.Add(time.Duration(i)*time.Minute), nil)) {
			i++
		}
	}
	for !ring.Put(last) {
		time.Sleep(time.Millisecond)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		names, err := replay.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == 3 && strings.Contains(names[2], "T130000") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("kept: %v", names)
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-done
	names, err := replay.List(dir)
	if err != nil || len(names) != 3 {
		t.Fatalf("%v, %v", names, err)
	}
	file, err := os.Open(filepath.Join(dir, names[2]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	r, err := replay.Read(file)
	if err != nil || len(r.Decisions) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// FuzzRead: whatever the file, it is refused or can be replayed.
func FuzzRead(f *testing.F) {
	s, now := small()
	var file bytes.Buffer
	if err := replay.New(s, now, policy.Plan(s, now).Decisions).Write(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte(`{"time": "2026-03-01T12:00:00Z", "snapshot": {"View": {"Quorate": true}, "Nodes": [{}, {"ID": 1}], "Groups": [{}]}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := replay.Read(bytes.NewReader(content))
		if err != nil {
			return
		}
		r.Replay()
	})
}
