package powerfence

import (
	"context"
	"fmt"
	"strings"
)

// power is what a status says.
type power int

const (
	powerUnknown power = iota
	powerOn
	powerOff
)

// Exit codes of action status.
const (
	codeOn  = 0
	codeOff = 2
)

// status asks the device. why says what it answered.
func (f *Fencer) status(ctx context.Context, path string, l *Level) (state power, why string) {
	out, err := f.run(ctx, path, l.input("status"))
	if err != nil {
		return powerUnknown, fmt.Sprintf("action status: %v", err)
	}
	switch state = parseStatus(out); state {
	case powerOn:
		return state, "its status is on"
	case powerOff:
		return state, "its status is off"
	case powerUnknown:
	}
	return powerUnknown, fmt.Sprintf("action status ended with code %d: %s", out.code, lastLine(out.stderr, out.stdout))
}

// parseStatus wants the exit code and the words to agree: 2 is also what many programs end with that were called wrongly.
func parseStatus(out output) power {
	on, off := false, false
	for line := range strings.Lines(out.stdout) {
		label, value, found := strings.Cut(strings.ToLower(strings.TrimSpace(line)), ":")
		if !found || strings.TrimSpace(label) != "status" {
			continue
		}
		switch strings.TrimSpace(value) {
		case "on":
			on = true
		case "off":
			off = true
		}
	}
	switch {
	case out.code == codeOff && off && !on:
		return powerOff
	case out.code == codeOn && on && !off:
		return powerOn
	}
	return powerUnknown
}
