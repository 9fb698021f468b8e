package daemon

import (
	"fmt"
	"sync"
	"time"

	"github.com/quorate/quorate/test/lab/protocol"
)

// story is what up tells, kept so that whoever asks later hears it from the beginning.
type story struct {
	begin time.Time
	mu    sync.Mutex
	lines []protocol.Progress
	news  chan struct{} // closed and replaced with each line
}

func newStory() *story {
	return &story{begin: time.Now(), news: make(chan struct{})}
}

func (s *story) add(p protocol.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Elapsed = time.Since(s.begin)
	s.lines = append(s.lines, p)
	close(s.news)
	s.news = make(chan struct{})
	fmt.Printf("%6.2fs %s%s\n", p.Elapsed.Seconds(), p.Message, p.Error)
}

func (s *story) say(format string, args ...any) {
	s.add(protocol.Progress{Message: fmt.Sprintf(format, args...)})
}

// finish ends the story, well or with an error.
func (s *story) finish(err error) {
	p := protocol.Progress{Done: true}
	if err != nil {
		p.Error = err.Error()
	} else {
		p.Message = "the lab is up"
	}
	s.add(p)
}

// since returns the lines from the n-th on and a channel that is closed when there are more.
func (s *story) since(n int) ([]protocol.Progress, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines[min(n, len(s.lines)):], s.news
}

// done says whether the lab is up.
func (s *story) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines) > 0 && s.lines[len(s.lines)-1].Done && s.lines[len(s.lines)-1].Error == ""
}
