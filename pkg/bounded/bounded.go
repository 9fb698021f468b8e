package bounded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxHung is how many calls on one object may be left behind. One would do, but a call that hung for a moment only must not make
// the very next one fail.
const maxHung = 3

// ErrHung says that a call did not return in time, and goes on behind the caller's back.
var ErrHung = errors.New("no answer")

var hung = struct {
	sync.Mutex
	count map[string]int
}{count: map[string]int{}}

// Do runs f, and waits for it at most for limit and not past ctx's end. object names what the call is about, such as a device's
// path. An error that is ErrHung means that nobody knows whether f will have its effect later: callers must not rely on either.
func Do[T any](ctx context.Context, object string, limit time.Duration, f func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if !enter(object) {
		return none, fmt.Errorf("%s: %w: %d earlier calls still hang", object, ErrHung, maxHung)
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		defer leave(object)
		value, err := f()
		done <- outcome{value, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return none, fmt.Errorf("%s: %w: the call is left behind: %w", object, ErrHung, ctx.Err())
	case <-timer.C:
		return none, fmt.Errorf("%s: %w within %s: the call is left behind", object, ErrHung, limit)
	}
}

// enter counts a call. Calls that run and calls that hang are not told apart: a healthy object has never so many at a time, since
// its callers take turns.
func enter(object string) bool {
	hung.Lock()
	defer hung.Unlock()
	if hung.count[object] >= maxHung {
		return false
	}
	hung.count[object]++
	return true
}

func leave(object string) {
	hung.Lock()
	defer hung.Unlock()
	if hung.count[object]--; hung.count[object] == 0 {
		delete(hung.count, object)
	}
}
