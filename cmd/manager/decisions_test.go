package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replay"
)

// TestDecisions: what the keeper was given can be listed and written out, and replayed.
func TestDecisions(t *testing.T) {
	if keeper(t.Context(), Options{}) != nil {
		t.Error("without a directory something is kept")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	keep := keeper(ctx, Options{DecisionsDir: dir, DecisionsKeep: 2})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		keep(replay.New(&model.Snapshot{}, now.Add(time.Duration(i)*time.Hour), nil))
	}
	run := func(args ...string) (string, error) {
		c := command()
		var out bytes.Buffer
		c.SetOut(&out)
		c.SetArgs(append([]string{"decisions", "--decisions-dir", dir}, args...))
		err := c.ExecuteContext(t.Context())
		return out.String(), err
	}
	deadline := time.Now().Add(10 * time.Second)
	list := ""
	for list != "decision-20260301T130000.000000000Z.json.gz\ndecision-20260301T140000.000000000Z.json.gz\n" {
		if time.Now().After(deadline) {
			t.Fatalf("kept: %q", list)
		}
		time.Sleep(5 * time.Millisecond)
		var err error
		if list, err = run(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := run("latest")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := replay.Read(strings.NewReader(text)); err != nil || !r.Time.Equal(now.Add(2*time.Hour)) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := run("../../etc/passwd"); err == nil || !strings.Contains(err.Error(), "has no decision") {
		t.Errorf("%v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := run("latest"); err == nil || !strings.Contains(err.Error(), "it has 0") {
		t.Errorf("%v", err)
	}
}
