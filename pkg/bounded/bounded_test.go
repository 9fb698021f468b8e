package bounded

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDo(t *testing.T) {
	got, err := Do(t.Context(), "disk", time.Minute, func() (int, error) { return 7, nil })
	if got != 7 || err != nil {
		t.Errorf("Do() = %d, %v", got, err)
	}
	own := errors.New("own")
	if _, err := Do(t.Context(), "disk", time.Minute, func() (int, error) { return 0, own }); !errors.Is(err, own) || errors.Is(err, ErrHung) {
		t.Errorf("Do() = %v, want the call's own error", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Do(ended, "disk", time.Minute, func() (int, error) { t.Error("called"); return 0, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Do() after the end = %v", err)
	}
}

// TestHung leaves calls behind, no more than the limit on one object, and accepts calls again when they have returned.
func TestHung(t *testing.T) {
	release := make(chan struct{})
	returned := make(chan struct{}, maxHung)
	hang := func() (int, error) { <-release; returned <- struct{}{}; return 0, nil }
	for range maxHung {
		if _, err := Do(t.Context(), "silent", time.Millisecond, hang); !errors.Is(err, ErrHung) {
			t.Errorf("Do() of a call that hangs = %v", err)
		}
	}
	begun := false
	if _, err := Do(t.Context(), "silent", time.Minute, func() (int, error) { begun = true; return 0, nil }); !errors.Is(err, ErrHung) || begun {
		t.Errorf("Do() with %d calls left behind = %v, begun %v", maxHung, err, begun)
	}
	if _, err := Do(t.Context(), "other", time.Minute, func() (int, error) { return 0, nil }); err != nil {
		t.Errorf("another object suffers: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := Do(ctx, "third", time.Minute, func() (int, error) { <-release; return 0, nil }); !errors.Is(err, ErrHung) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Do() past its context = %v", err)
	}
	close(release)
	for range maxHung {
		<-returned
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := Do(t.Context(), "silent", time.Minute, func() (int, error) { return 0, nil })
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the calls have returned, and still: %v", err)
		}
	}
}
