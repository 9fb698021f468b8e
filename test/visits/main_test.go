package main

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func TestVisitsSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits")
	for want := int64(1); want <= 3; want++ {
		c, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		answer := httptest.NewRecorder()
		c.serve(answer, httptest.NewRequest("GET", "/", nil))
		var got visit
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Count != want || got.PID != os.Getpid() || got.Host == "" || got.Started.IsZero() {
			t.Errorf("visit %d: %+v", want, got)
		}
	}
}

func TestVisitsAtOnce(t *testing.T) {
	c, err := open(filepath.Join(t.TempDir(), "visits"))
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]int64, 50)
	var wg sync.WaitGroup
	for n := range seen {
		wg.Go(func() {
			var err error
			if seen[n], err = c.next(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	unique := map[int64]bool{}
	for _, count := range seen {
		unique[count] = true
	}
	if len(unique) != len(seen) || c.count != int64(len(seen)) {
		t.Errorf("%d visits gave %d different counts up to %d", len(seen), len(unique), c.count)
	}
}

// However slow the disk is, nobody waits for more than two writes: the one that is under way, and their own.
func TestSlowDisk(t *testing.T) {
	c, err := open(filepath.Join(t.TempDir(), "visits"))
	if err != nil {
		t.Fatal(err)
	}
	var writes []int64
	started, goOn := make(chan struct{}, 2), make(chan struct{})
	c.write = func(_ string, count int64) error {
		writes = append(writes, count)
		started <- struct{}{}
		<-goOn
		return nil
	}
	var wg sync.WaitGroup
	visitor := func() {
		if _, err := c.next(); err != nil {
			t.Error(err)
		}
	}
	wg.Go(visitor)
	<-started
	for range 20 {
		wg.Go(visitor)
	}
	for waiting := 0; waiting < 20; {
		c.arrivedMu.Lock()
		waiting = len(c.arrived)
		c.arrivedMu.Unlock()
	}
	close(goOn)
	wg.Wait()
	if !slices.Equal(writes, []int64{1, 21}) {
		t.Errorf("written: %d, want 1 and 21", writes)
	}
}

func TestFailedWrite(t *testing.T) {
	c, err := open(filepath.Join(t.TempDir(), "visits"))
	if err != nil {
		t.Fatal(err)
	}
	c.write = func(string, int64) error { return errors.New("disk on fire") }
	if _, err := c.next(); err == nil {
		t.Error("a visit that was not kept is answered")
	}
	c.write = write
	if count, err := c.next(); count != 1 || err != nil {
		t.Errorf("visit %d, %v: one that was not kept counts", count, err)
	}
}

func TestGarbledCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits")
	if err := os.WriteFile(path, []byte("many"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(path); err == nil {
		t.Error("a garbled count is taken for none")
	}
}
