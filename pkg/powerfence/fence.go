package powerfence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// statusPause is the wait between two looks at whether it is off yet.
const statusPause = 500 * time.Millisecond

// metadataAge is how long an agent's metadata is remembered.
const metadataAge = 10 * time.Minute

// Fencer cuts power with the fence agents of this host. Its methods may be called at the same time.
type Fencer struct {
	dirs []string
	run  runner
	now  func() time.Time
	// pause is statusPause but in tests.
	pause time.Duration

	mu       sync.Mutex
	metadata map[string]known
}

type known struct {
	at   time.Time
	path string
	*Metadata
}

// New makes a fencer that looks for agents in the directories; none stands for Dirs.
func New(dirs ...string) *Fencer {
	if len(dirs) == 0 {
		dirs = Dirs
	}
	return &Fencer{dirs: dirs, run: execute, now: time.Now, pause: statusPause, metadata: map[string]known{}}
}

// Check says why this host cannot use the level: the agent is not there, does not know a parameter, and so on. It speaks to the agent
// and not to the device.
func (f *Fencer) Check(ctx context.Context, l *Level) error {
	_, err := f.usable(ctx, l)
	return err
}

// usable returns the path of the level's agent.
func (f *Fencer) usable(ctx context.Context, l *Level) (string, error) {
	if err := l.validate(); err != nil {
		return "", err
	}
	path, err := find(f.dirs, l.Driver)
	if err != nil {
		return "", err
	}
	m, err := f.describe(ctx, l.Driver, path)
	if err != nil {
		return "", fmt.Errorf("driver %s: %w", l.Driver, err)
	}
	return path, m.check(l)
}

func (f *Fencer) describe(ctx context.Context, driver, path string) (*Metadata, error) {
	f.mu.Lock()
	k, found := f.metadata[driver]
	f.mu.Unlock()
	if found && k.path == path && f.now().Sub(k.at) < metadataAge {
		return k.Metadata, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := f.run(ctx, path, []byte("action=metadata\n"))
	switch {
	case err != nil:
		return nil, err
	case out.code != 0:
		return nil, fmt.Errorf("action metadata ended with code %d: %s", out.code, lastLine(out.stderr))
	}
	m, err := parseMetadata([]byte(out.stdout))
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.metadata[driver] = known{at: f.now(), path: path, Metadata: m}
	f.mu.Unlock()
	return m, nil
}

// Result is how a fencing went.
type Result struct {
	// Level is the one that worked, 0 for none.
	Level  int
	Driver string
	// Failures are what the levels before it, or all of them, failed with.
	Failures []string
}

// Off tries the levels in their order until a status says that the host is off. still is asked before each act; its error ends the
// fencing. The error says that the host may be on.
func (f *Fencer) Off(ctx context.Context, levels []Level, still func() error) (Result, error) {
	var r Result
	for i := range levels {
		l := &levels[i]
		if err := still(); err != nil {
			return r, fmt.Errorf("given up before level %d: %w", l.Number, err)
		}
		err := f.off(ctx, l)
		if err == nil {
			r.Level, r.Driver = l.Number, l.Driver
			return r, nil
		}
		r.Failures = append(r.Failures, l.conceal(fmt.Sprintf("level %d: %v", l.Number, err)))
		if ctx.Err() != nil {
			break
		}
	}
	if len(levels) == 0 {
		return r, errors.New("there is no level to try")
	}
	return r, errors.New(strings.Join(r.Failures, "; "))
}

// off switches off with one level and waits for a status that says so, within the level's timeout.
func (f *Fencer) off(ctx context.Context, l *Level) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.timeout(), fmt.Errorf("timeout of %s", l.timeout()))
	defer cancel()
	path, err := f.usable(ctx, l)
	if err != nil {
		return err
	}
	// Half of the time at most, so that a device which answers late can still be asked.
	acting, done := context.WithTimeoutCause(ctx, l.timeout()/2, fmt.Errorf("action off took longer than %s", l.timeout()/2))
	out, err := f.run(acting, path, l.input("off"))
	done()
	claim := failure("off", out, err)
	// Whatever it claims, only a status counts: an agent that was cut short may have switched it off.
	for answer := ""; ; {
		state, why := f.status(ctx, path, l)
		if answer == "" || ctx.Err() == nil {
			answer = why // that the time was over in the middle of a question tells nobody anything
		}
		if state == powerOff {
			return nil
		}
		// It may take its time to go off, but a failed act is not waited for.
		if claim != "" {
			return fmt.Errorf("%s; then %s", claim, answer)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("action off succeeded, but it is not confirmed: %s (%w)", answer, context.Cause(ctx))
		case <-time.After(f.pause):
		}
	}
}

// On switches the host on again with a level that has switched it off.
func (f *Fencer) On(ctx context.Context, l *Level) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.timeout(), fmt.Errorf("timeout of %s", l.timeout()))
	defer cancel()
	path, err := f.usable(ctx, l)
	if err != nil {
		return err
	}
	out, err := f.run(ctx, path, l.input("on"))
	if claim := failure("on", out, err); claim != "" {
		return errors.New(l.conceal(claim))
	}
	return nil
}

// failure says how an action failed; "" when it did not.
func failure(action string, out output, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("action %s: %v", action, err)
	case out.code != 0:
		return fmt.Sprintf("action %s ended with code %d: %s", action, out.code, lastLine(out.stderr, out.stdout))
	}
	return ""
}

// lastLine is the last line that says something in the first of the texts that does, shortened: agents warn first and fail last.
func lastLine(texts ...string) string {
	for _, text := range texts {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if line := strings.TrimSpace(lines[len(lines)-1]); line != "" {
			return strings.ToValidUTF8(line[:min(len(line), 300)], "?")
		}
	}
	return "it says nothing"
}
