package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
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

func TestGarbledCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits")
	if err := os.WriteFile(path, []byte("many"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(path); err == nil {
		t.Error("a garbled count is taken for none")
	}
}
