package policy

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// nextOpening returns the first time at or after t at which the failback rule allows a move. A window has both ends (A30), ends
// before the minute of its End, and wraps midnight when its End is before its Start (A29); equal ends are the whole day.
func nextOpening(f model.Failback, t time.Time) time.Time {
	if f.Policy != model.FailbackWindow || !f.HasStart || !f.HasEnd || f.Start == f.End {
		return t
	}
	where := f.Location
	if where == nil {
		where = time.UTC
	}
	local := t.In(where)
	if inWindow(f, local.Hour()*60+local.Minute()) {
		return t
	}
	// Two days ahead are enough: a daylight saving change may swallow one day's opening.
	for day := range 3 {
		open := time.Date(local.Year(), local.Month(), local.Day()+day, f.Start/60, f.Start%60, 0, 0, where)
		if !open.Before(t) {
			return open
		}
	}
	return t
}

// inWindow says whether a minute of the day is inside the window.
func inWindow(f model.Failback, minute int) bool {
	if f.Start < f.End {
		return minute >= f.Start && minute < f.End
	}
	return minute >= f.Start || minute < f.End
}
