package loopbackdisk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/resourcetype"
)

const (
	// watchInterval is how often the kernel is asked whether the file system still takes writes; that reads no disk.
	watchInterval = time.Second
	// maxUnknown is how many times in a row the reservation may be unreadable before the disk has failed.
	maxUnknown = 2
)

// Watch sees a file system that has gone read-only, and a reservation that is lost, within seconds.
func (t *Type) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		mounts := time.NewTicker(watchInterval)
		defer mounts.Stop()
		reservations := time.NewTicker(resourcetype.VerifyInterval)
		defer reservations.Stop()
		unknown := 0
		for {
			var err error
			select {
			case <-ctx.Done():
				return
			case <-mounts.C:
				err = t.isMounted(inst)
			case <-reservations.C:
				err = t.Verify(ctx, inst)
				if err == nil || errors.Is(err, resourcetype.ErrReservationLost) {
					unknown = 0
					break
				}
				if unknown++; unknown < maxUnknown {
					err = nil
				} else {
					err = fmt.Errorf("the disk does not answer: %w", err)
				}
			}
			if err != nil && ctx.Err() == nil {
				failed <- err
				return
			}
		}
	}()
	return failed, nil
}
