package probe

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestRun probes a server that fails for a while.
func TestRun(t *testing.T) {
	var broken atomic.Bool
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			http.Error(w, "broken", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"count":%d,"host":"node-a"}`, count.Add(1))
	}))
	defer server.Close()
	time.AfterFunc(200*time.Millisecond, func() { broken.Store(true) })
	time.AfterFunc(500*time.Millisecond, func() { broken.Store(false) })
	var events []Event
	err := Run(t.Context(), Options{URL: server.URL, For: 5 * time.Second, UntilOutage: true}, func(e Event) { events = append(events, e) })
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 3 || !events[0].FirstAnswer || events[1].Outage == nil || events[2].Report == nil {
		t.Fatalf("events: %+v, want the first answer, one outage and the report", events)
	}
	o, r := events[1].Outage, events[2].Report
	if o.Length < 200*time.Millisecond || o.Length > 2*time.Second || !o.Ended || o.HostAfter != "node-a" || o.CountAfter <= o.CountBefore {
		t.Errorf("outage %+v: want about 300 ms, ended", o)
	}
	if r.Sent != r.Good+r.Failed || r.Failed != o.Failed || len(r.Outages) != 1 || r.LastCount != count.Load() {
		t.Errorf("report %+v does not add up with the outage %+v", r, o)
	}
}

func TestRunRefusesWhatIsNoURL(t *testing.T) {
	if err := Run(t.Context(), Options{URL: "10.0.0.1"}, func(Event) {}); err == nil {
		t.Error("no error")
	}
}
