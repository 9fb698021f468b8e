package cluster

import (
	"errors"
	"iter"
	"time"
)

var (
	errKilled    = errors.New("the process has ended")
	errCancelled = errors.New("cancelled")
)

// wait is what a thread blocks on: it is given the function that lets the thread go on.
type wait func(resume func())

// thread is code of an agent's process that blocks. It runs as a coroutine: synchronous code, such as the reservation protocol, is
// left at each device command, so that a freeze, a crash or another host can come between any two.
type thread struct {
	agent *agent
	next  func() (wait, bool)
	stop  func()
	yield func(wait) bool
	// killed says that the process is gone: the code runs to its end and has no effect.
	killed bool
	// cancelled is a context that has ended.
	cancelled bool
}

// spawn starts a thread of the process.
func (a *agent) spawn(body func(t *thread)) *thread {
	t := &thread{agent: a}
	t.next, t.stop = iter.Pull(func(yield func(wait) bool) {
		t.yield = yield
		body(t)
	})
	a.threads[t] = true
	a.node.c.After(0, func() { a.whenRunning(t.advance) })
	return t
}

func (t *thread) advance() {
	if t.killed {
		return
	}
	w, more := t.next()
	if !more {
		delete(t.agent.threads, t)
		return
	}
	w(func() { t.agent.whenRunning(t.advance) })
}

// block waits; false means that the process has ended.
func (t *thread) block(w wait) bool {
	if t.killed || !t.yield(w) {
		t.killed = true
		return false
	}
	return true
}

// sleep waits for a time. The error is errKilled or errCancelled.
func (t *thread) sleep(d time.Duration) error {
	c := t.agent.node.c
	if !t.block(func(resume func()) { c.After(d, resume) }) {
		return errKilled
	}
	return t.err()
}

func (t *thread) err() error {
	switch {
	case t.killed:
		return errKilled
	case t.cancelled:
		return errCancelled
	}
	return nil
}

// kill ends the thread wherever it is; a command that it has issued goes its way.
func (t *thread) kill() {
	t.killed = true
	t.stop()
}
