package machine

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// events collects what qemu says on its control channel, one JSON object a line.
type events struct{ bytes.Buffer }

// event is a line of it; greetings and replies have no name.
type event struct {
	Name string `json:"event"`
	Data struct {
		Reason string `json:"reason"`
	} `json:"data"`
}

// parse returns the events in order. Lines that are none are left out.
func (e *events) parse() []event {
	var all []event
	for line := range strings.Lines(e.String()) {
		var one event
		if json.Unmarshal([]byte(line), &one) == nil && one.Name != "" {
			all = append(all, one)
		}
	}
	return all
}

var panicked = regexp.MustCompile(`Kernel panic - not syncing[^\r\n]*`)

// result decides how the run ended.
func (m *running) result(late bool) Result {
	r := Result{Console: m.console.String() + m.stderr.String()}
	report := strings.TrimSpace(m.report.String())
	code, exited := strings.CutPrefix(report, "exit ")
	n, err := strconv.Atoi(code)
	switch {
	case exited && err == nil:
		r.End, r.Code = Exited, n
	case late:
		r.End = TimedOut
	default:
		r.End = m.ending()
	}
	if strings.HasPrefix(report, "broken") {
		r.Console += "\n" + report
	}
	return r
}

// ending reads from qemu's events what ended a machine whose program did not report.
func (m *running) ending() End {
	end := Broken
	for _, e := range m.events.parse() {
		switch {
		case e.Name == "WATCHDOG":
			return Watchdog
		case e.Name == "SHUTDOWN" && e.Data.Reason == "guest-reset":
			end = Reset
		}
	}
	if end == Reset && panicked.MatchString(m.console.String()) {
		return Panicked
	}
	return end
}
