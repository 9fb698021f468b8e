package apiservers

import (
	"net/http"
	"testing"
	"time"
)

// Who watches closes the connection's body when it has had enough; a read that waits then ends with an error. The server is not to blame.
func TestReaderEndsItsWatch(t *testing.T) {
	a, _, s := pair(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url()+"/api/v1/configmaps?watch=true", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	using := s.Current()
	ended := make(chan error, 1)
	go func() {
		for buffer := make([]byte, 1<<16); ; {
			if _, err := response.Body.Read(buffer); err != nil {
				ended <- err
				return
			}
		}
	}()
	time.Sleep(50 * time.Millisecond)
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the read has not ended")
	}
	if s.Current() != using {
		t.Errorf("%s was given up for %s", using, s.Current())
	}
}
