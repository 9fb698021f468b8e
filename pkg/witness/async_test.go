package witness

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// deviceStub is a Device that only counts how often it was closed; no test calls anything else.
type deviceStub struct {
	Device
	closed int
}

func (d *deviceStub) Close() error {
	d.closed++
	return nil
}

// hang is a call that ignores its context, as the kernel does, until it is let go.
type hang struct{ release chan struct{} }

func newHang() *hang { return &hang{release: make(chan struct{})} }

func (h *hang) call(context.Context, Device) error {
	<-h.release
	return nil
}

func answered(context.Context, Device) error { return nil }

// do runs a call and waits for its outcome.
func do(t *testing.T, a *Async, timeout time.Duration, call func(context.Context, Device) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	result := make(chan error, 1)
	a.Do(ctx, call, func(err error) { result <- err })
	return <-result
}

func TestAsyncHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := &deviceStub{}
		guard := NewGuard(1)
		a := NewAsync(guard, "w", func(context.Context) (Device, error) { return dev, nil })
		other := NewAsync(guard, "v", func(context.Context) (Device, error) { return dev, nil })
		if err := do(t, a, time.Second, answered); err != nil {
			t.Fatalf("a call that answers: %v", err)
		}
		h := newHang()
		began := time.Now()
		if err := do(t, a, time.Second, h.call); !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that hangs: %v, want %v", err, ErrUnreachable)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the caller waited %v for a call bounded by 1s", took)
		}
		if err := do(t, a, time.Second, answered); !errors.Is(err, ErrHung) || !a.Hung() {
			t.Errorf("a call while one hangs: %v, want %v", err, ErrHung)
		}
		if err := do(t, other, time.Second, answered); !errors.Is(err, ErrHung) {
			t.Errorf("a call beyond the guard's bound: %v, want %v", err, ErrHung)
		}
		close(h.release)
		synctest.Wait()
		if err := do(t, a, time.Second, answered); err != nil {
			t.Errorf("a call after the hanging one returned: %v", err)
		}
		if err := do(t, other, time.Second, answered); err != nil {
			t.Errorf("a call of another witness after the hanging one returned: %v", err)
		}
	})
}

func TestAsyncOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := &deviceStub{}
		opened, fail := 0, ErrAbsent
		a := NewAsync(NewGuard(1), "w", func(context.Context) (Device, error) {
			opened++
			return dev, fail
		})
		if err := do(t, a, time.Second, answered); !errors.Is(err, ErrAbsent) {
			t.Errorf("a device that is not there: %v", err)
		}
		fail = nil
		for range 2 {
			if err := do(t, a, time.Second, answered); err != nil {
				t.Error(err)
			}
		}
		if opened != 2 {
			t.Errorf("opened %d times, want 2: once in vain, once for all calls", opened)
		}
		gone := func(context.Context, Device) error { return ErrAbsent }
		if err := do(t, a, time.Second, gone); !errors.Is(err, ErrAbsent) || dev.closed != 1 {
			t.Errorf("a device that went away: %v, closed %d times", err, dev.closed)
		}
		if err := do(t, a, time.Second, answered); err != nil || opened != 3 {
			t.Errorf("a device that came back: %v, opened %d times", err, opened)
		}
	})
}

func TestAsyncClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := &deviceStub{}
		a := NewAsync(NewGuard(1), "w", func(context.Context) (Device, error) { return dev, nil })
		h := newHang()
		if err := do(t, a, time.Second, h.call); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
		a.Close()
		synctest.Wait()
		if dev.closed != 0 {
			t.Error("closed below a call that has not returned")
		}
		close(h.release)
		synctest.Wait()
		a.Close()
		if dev.closed != 1 {
			t.Errorf("closed %d times after the last call returned, want once", dev.closed)
		}
		if err := do(t, a, time.Second, answered); err == nil {
			t.Error("a closed witness answers")
		}
	})
}
