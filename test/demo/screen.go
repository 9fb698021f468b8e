package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// screen writes the narration.
type screen struct {
	out   io.Writer
	start time.Time
	scene int
}

func (s *screen) headline(text string) {
	fmt.Fprintf(s.out, "\n=== %s\n", text)
}

func (s *screen) title(text string) {
	s.scene++
	fmt.Fprintf(s.out, "\n[%6.1fs] %d. %s\n", time.Since(s.start).Seconds(), s.scene, text)
}

func (s *screen) say(format string, args ...any) {
	fmt.Fprintf(s.out, "          %s\n", fmt.Sprintf(format, args...))
}

func (s *screen) ok(format string, args ...any) {
	fmt.Fprintf(s.out, "       ok %s\n", fmt.Sprintf(format, args...))
}

func (s *screen) quote(text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		fmt.Fprintf(s.out, "          | %s\n", line)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
