package policy

import (
	"testing"
	"time"
	_ "time/tzdata" // the test must not depend on the machine's zones

	"github.com/quorate/quorate/pkg/model"
)

func TestNextOpening(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	window := func(start, end int, where *time.Location) model.Failback {
		return model.Failback{Policy: model.FailbackWindow, HasStart: true, HasEnd: true, Start: start, End: end, Location: where}
	}
	at := func(where *time.Location, month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, where)
	}
	tests := map[string]struct {
		failback  model.Failback
		now, want time.Time
	}{
		"no window: at once": {
			failback: model.Failback{Policy: model.FailbackImmediate}, now: at(time.UTC, 1, 1, 5, 0), want: at(time.UTC, 1, 1, 5, 0),
		},
		"only a start is no window (A30)": {
			failback: model.Failback{Policy: model.FailbackWindow, HasStart: true, Start: 600},
			now:      at(time.UTC, 1, 1, 5, 0), want: at(time.UTC, 1, 1, 5, 0),
		},
		"the policy Immediate ignores a window": {
			failback: model.Failback{Policy: model.FailbackImmediate, HasStart: true, HasEnd: true, Start: 600, End: 660},
			now:      at(time.UTC, 1, 1, 5, 0), want: at(time.UTC, 1, 1, 5, 0),
		},
		"before it: today":              {window(600, 660, nil), at(time.UTC, 1, 1, 5, 0), at(time.UTC, 1, 1, 10, 0)},
		"its first minute is inside":    {window(600, 660, nil), at(time.UTC, 1, 1, 10, 0), at(time.UTC, 1, 1, 10, 0)},
		"its last minute is outside":    {window(600, 660, nil), at(time.UTC, 1, 1, 11, 0), at(time.UTC, 1, 2, 10, 0)},
		"after it: tomorrow":            {window(600, 660, nil), at(time.UTC, 1, 31, 12, 0), at(time.UTC, 2, 1, 10, 0)},
		"wraps midnight: evening (A29)": {window(1320, 240, nil), at(time.UTC, 1, 1, 23, 0), at(time.UTC, 1, 1, 23, 0)},
		"wraps midnight: morning (A29)": {window(1320, 240, nil), at(time.UTC, 1, 2, 3, 59), at(time.UTC, 1, 2, 3, 59)},
		"wraps midnight: day (A29)":     {window(1320, 240, nil), at(time.UTC, 1, 2, 4, 0), at(time.UTC, 1, 2, 22, 0)},
		"equal ends are the whole day":  {window(600, 600, nil), at(time.UTC, 1, 2, 4, 0), at(time.UTC, 1, 2, 4, 0)},
		"in its own zone, winter":       {window(600, 660, berlin), at(time.UTC, 1, 1, 5, 0), at(time.UTC, 1, 1, 9, 0)},
		"in its own zone, summer":       {window(600, 660, berlin), at(time.UTC, 7, 1, 5, 0), at(time.UTC, 7, 1, 8, 0)},
		"today in its zone, not in UTC": {window(60, 120, berlin), at(time.UTC, 1, 1, 23, 30), at(time.UTC, 1, 2, 0, 0)},
		"a window in the hour that the clocks skip waits a day": {
			window(130, 160, berlin), at(berlin, 3, 29, 1, 0), at(berlin, 3, 30, 2, 10),
		},
		"a window that ends in the hour that is skipped ends with it": {
			window(90, 150, berlin), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), at(berlin, 3, 30, 1, 30),
		},
		"a window that begins in the hour that is skipped begins after it": {
			window(130, 200, berlin), at(berlin, 3, 29, 1, 0), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC),
		},
		"the first of an hour that repeats":         {window(150, 170, berlin), at(time.UTC, 10, 25, 0, 0), at(time.UTC, 10, 25, 0, 30)},
		"inside the second of an hour that repeats": {window(150, 170, berlin), at(time.UTC, 10, 25, 1, 35), at(time.UTC, 10, 25, 1, 35)},
		"from the first to the second of an hour":   {window(150, 170, berlin), at(time.UTC, 10, 25, 0, 50), at(time.UTC, 10, 25, 1, 30)},
		"after both": {window(150, 170, berlin), at(time.UTC, 10, 25, 1, 50), at(time.UTC, 10, 26, 1, 30)},
		"wraps midnight in the night of 23 hours":       {window(1320, 180, berlin), at(time.UTC, 3, 29, 0, 59), at(time.UTC, 3, 29, 0, 59)},
		"wraps midnight, over when the clocks jump":     {window(1320, 180, berlin), at(time.UTC, 3, 29, 1, 0), at(time.UTC, 3, 29, 20, 0)},
		"wraps midnight in the night of 25 hours":       {window(1320, 180, berlin), at(time.UTC, 10, 25, 1, 59), at(time.UTC, 10, 25, 1, 59)},
		"wraps midnight, over after the repeated hours": {window(1320, 180, berlin), at(time.UTC, 10, 25, 2, 0), at(time.UTC, 10, 25, 21, 0)},
		"seconds into a minute":                         {window(600, 660, nil), at(time.UTC, 1, 1, 9, 59).Add(30*time.Second + 5), at(time.UTC, 1, 1, 10, 0)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := nextOpening(tc.failback, tc.now); !got.Equal(tc.want) {
				t.Errorf("nextOpening(%s) = %s, want %s", tc.now, got, tc.want)
			}
		})
	}
}
