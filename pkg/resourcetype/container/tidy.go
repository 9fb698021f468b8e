package container

import (
	"context"
	"errors"
	"time"
)

const (
	// leftoverAge is how old a container must be, in which nothing runs, to count as left behind.
	leftoverAge = time.Minute
	// tidyEvery is how often it is looked for those, and tidyTime how long a look may take.
	tidyEvery = time.Minute
	tidyTime  = 30 * time.Second
)

// tidySometimes removes, in the background, what an earlier life of this host or a stop without containerd has left there.
func (t *Type) tidySometimes() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.tidied) < tidyEvery {
		return
	}
	t.tidied = time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), tidyTime)
		defer cancel()
		_ = t.tidyOlder(ctx, leftoverAge) // it is tried again, and a start removes its own in any case
	}()
}

// tidyOlder removes the containers of resources that are at least so old and in which nothing runs.
func (t *Type) tidyOlder(ctx context.Context, age time.Duration) error {
	dead, err := t.engine.Dead(ctx, age)
	if err != nil {
		return err
	}
	var failed []error
	for id, uid := range dead {
		t.mu.Lock()
		busy := t.busy[id] > 0
		t.mu.Unlock()
		if !busy {
			failed = append(failed, t.engine.Remove(ctx, id, uid))
		}
	}
	return errors.Join(failed...)
}
