package witness

import (
	"fmt"
	"testing"
)

func TestReason(t *testing.T) {
	for err, want := range map[error]struct {
		reason string
		passes bool
	}{
		ErrConflict:          {"", true},
		ErrUnreachable:       {"WitnessUnreachable", true},
		ErrAbsent:            {"WitnessAbsent", true},
		ErrHung:              {"WitnessHung", true},
		ErrForeign:           {"WitnessForeign", false},
		ErrInUse:             {"WitnessInUse", false},
		ErrTooSmall:          {"WitnessTooSmall", false},
		ErrNotShared:         {"WitnessNotShared", false},
		ErrNoReservations:    {"WitnessNoReservations", false},
		ErrGarbled:           {"WitnessGarbled", false},
		ErrRefused:           {"WitnessRefused", false},
		fmt.Errorf("others"): {"WitnessFailed", false},
	} {
		wrapped := fmt.Errorf("witness /dev/w: %w", err)
		if got := Reason(wrapped); got != want.reason {
			t.Errorf("reason of %v is %q, want %q", err, got, want.reason)
		}
		if got := Passes(wrapped); got != want.passes {
			t.Errorf("%v passes by itself: %v, want %v", err, got, want.passes)
		}
	}
	if Reason(nil) != "" {
		t.Error("no error has a reason")
	}
}
