package loopbackdisk

import (
	"context"
	"time"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// watchInterval is how often the kernel is asked whether the file system still takes writes; that reads no disk.
const watchInterval = time.Second

// Watch sees a file system that has gone read-only, or away, within a second. A lost reservation is LooksAlive's to find.
func (t *Type) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := t.isMounted(inst); err != nil && ctx.Err() == nil {
				failed <- err
				return
			}
		}
	}()
	return failed, nil
}
