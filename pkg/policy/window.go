package policy

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// nextOpening returns the first time at or after t at which the failback rule allows a move. A window has both ends (A30), ends
// before the minute of its End, and wraps midnight when its End is before its Start (A29); equal ends are the whole day. It is open
// whenever the clocks of its time zone show a time inside it: where they are set forward over a part of it, it is that much shorter,
// and where over all of it, it does not open that day; where they are set back, it opens as often as they show its hours.
func nextOpening(f model.Failback, t time.Time) time.Time {
	if f.Policy != model.FailbackWindow || !f.HasStart || !f.HasEnd || f.Start == f.End {
		return t
	}
	where := f.Location
	if where == nil {
		where = time.UTC
	}
	// Between two changes of the clocks the time of day is mere arithmetic. A day and a half has at most one change.
	for local := t.In(where); ; {
		minute := local.Hour()*60 + local.Minute()
		if inWindow(f, minute) {
			return local
		}
		left := time.Duration((f.Start-minute+day)%day) * time.Minute
		into := time.Duration(local.Second())*time.Second + time.Duration(local.Nanosecond())
		open := local.Add(left - into)
		_, change := local.ZoneBounds()
		if change.IsZero() || open.Before(change) {
			return open
		}
		local = change
	}
}

// day is the number of minutes of a day.
const day = 24 * 60

// inWindow says whether a minute of the day is inside the window.
func inWindow(f model.Failback, minute int) bool {
	if f.Start < f.End {
		return minute >= f.Start && minute < f.End
	}
	return minute >= f.Start || minute < f.End
}
