package main

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

type slowTransport struct {
	events, most, others atomic.Int32
	hold                 chan struct{}
}

func (s *slowTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/apis/events.k8s.io/v1/namespaces/demo/events" || r.Method != http.MethodPost {
		s.others.Add(1)
		return &http.Response{}, nil
	}
	n := s.events.Add(1)
	for m := s.most.Load(); n > m && !s.most.CompareAndSwap(m, n); m = s.most.Load() {
	}
	<-s.hold
	s.events.Add(-1)
	return &http.Response{}, nil
}

// TestEventsGiveWay: however many Events there are, few are on their way, nothing else waits for them, and one that is given up leaves the queue.
func TestEventsGiveWay(t *testing.T) {
	slow := &slowTransport{hold: make(chan struct{})}
	e := newEvents(slow)
	post := func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api/apis/events.k8s.io/v1/namespaces/demo/events", nil)
		if err != nil {
			return err
		}
		response, err := e.RoundTrip(r)
		if response != nil && response.Body != nil {
			return response.Body.Close()
		}
		return err
	}
	const many = 20
	done := make(chan error, many)
	for range many {
		go func() { done <- post(t.Context()) }()
	}
	for slow.events.Load() < eventsAtATime {
		time.Sleep(time.Millisecond)
	}
	for _, path := range []string{"/apis/quorate.io/v1alpha1/namespaces/demo/resourcegroups/shop/status", "/apis/events.k8s.io/v1/namespaces/demo/events"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.RoundTrip(r); err != nil {
			t.Error(err)
		}
	}
	if slow.others.Load() != 2 {
		t.Error("something else has waited for Events")
	}
	given, up := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer up()
	if err := post(given); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an Event that is given up: %v", err)
	}
	close(slow.hold)
	for range many {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if most := slow.most.Load(); most != eventsAtATime {
		t.Errorf("%d Events were on their way at a time", most)
	}
}
