package inventory

import (
	"errors"
	"sync"
)

// Parallel is how many objects a controller writes at a time when nothing else is said: a write is mostly waiting for the API server.
const Parallel = 16

// InParallel calls work for 0 to n-1, begun in this order, at most width of them at a time (0 means Parallel), and returns all their errors.
func InParallel(width, n int, work func(int) error) error {
	if width <= 0 {
		width = Parallel
	}
	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		errs   []error
		tokens = make(chan struct{}, width)
	)
	for i := range n {
		tokens <- struct{}{}
		group.Go(func() {
			defer func() { <-tokens }()
			if err := work(i); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
