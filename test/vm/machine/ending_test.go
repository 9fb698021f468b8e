package machine

import "testing"

// TestEnding reads how a run ended from what qemu and the guest say.
func TestEnding(t *testing.T) {
	const (
		greeting = `{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}}}` + "\n" + `{"return": {}}` + "\n"
		off      = `{"timestamp": {}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}` + "\n"
		reset    = `{"timestamp": {}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}` + "\n"
		watchdog = `{"timestamp": {}, "event": "WATCHDOG", "data": {"action": "reset"}}` + "\n"
	)
	for name, c := range map[string]struct {
		events, report, console string
		late                    bool
		want                    End
		code                    int
	}{
		"success":                   {events: greeting + off, report: "exit 0\n", want: Exited},
		"failure":                   {events: greeting + off, report: "exit 3\n", want: Exited, code: 3},
		"reported, then hung":       {events: greeting, report: "exit 1\n", late: true, want: Exited, code: 1},
		"a garbled report":          {events: greeting + off, report: "exit x\n", want: Broken},
		"a payload without program": {events: greeting + off, report: "broken: no program\n", want: Broken},
		"switched off early":        {events: greeting + off, want: Broken},
		"qemu is gone":              {want: Broken},
		"reset":                     {events: greeting + reset, want: Reset},
		"panic":                     {events: greeting + reset, console: "x\n[ 1.0] Kernel panic - not syncing: sysrq\n", want: Panicked},
		"watchdog":                  {events: greeting + watchdog + reset, console: "Kernel panic - not syncing", want: Watchdog},
		"hung":                      {events: greeting, late: true, want: TimedOut},
		"half a line":               {events: greeting + reset + `{"event": "SHUT`, want: Reset},
	} {
		m := &running{}
		m.events.WriteString(c.events)
		m.report.WriteString(c.report)
		m.console.WriteString(c.console)
		got := m.result(c.late)
		if got.End != c.want || got.Code != c.code {
			t.Errorf("%s: %s with code %d, want %s with code %d", name, got.End, got.Code, c.want, c.code)
		}
		if (got.Err() == nil) != (c.want == Exited && c.code == 0) {
			t.Errorf("%s: error %v", name, got.Err())
		}
	}
}

// FuzzEvents feeds the reader of qemu's control channel with anything.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"event": "SHUTDOWN", "data": {"reason": "guest-reset"}}` + "\n"))
	f.Add([]byte("{}\n[]\n{\"event\": 3}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := &running{}
		m.events.Write(text)
		for _, e := range m.events.parse() {
			if e.Name == "" {
				t.Error("an event without a name")
			}
		}
		if got := m.result(false).End; got != Broken && got != Reset && got != Watchdog {
			t.Errorf("no report and no panic, but %s", got)
		}
	})
}
