package main

import (
	"net/http"
	"strings"
)

// eventsAtATime is how many Events are on their way to the API server at a time. A failover of a thousand groups has some of each: they tell what
// was done, and must not keep waiting what is still to be done.
const eventsAtATime = 2

// events is a transport that lets Events wait for each other.
type events struct {
	next   http.RoundTripper
	places chan struct{}
}

func newEvents(next http.RoundTripper) *events {
	return &events{next: next, places: make(chan struct{}, eventsAtATime)}
}

// RoundTrip implements http.RoundTripper.
func (e *events) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/events") {
		return e.next.RoundTrip(r)
	}
	select {
	case e.places <- struct{}{}:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	defer func() { <-e.places }()
	return e.next.RoundTrip(r)
}
