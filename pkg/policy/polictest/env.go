package polictest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
)

// Env interprets one scenario file.
type Env struct {
	World *World
	// last is the plan that the last observing command made.
	last policy.Result
}

// NewEnv returns an environment with an empty world.
func NewEnv() *Env { return &Env{World: NewWorld()} }

// Handle carries out one directive of a scenario: the commands on its lines, in order. It returns what they print, or "ok".
func (e *Env) Handle(t *testing.T, d *datadriven.TestData) string {
	var out []string
	lines := append([]string{commandLine(d)}, strings.Split(d.Input, "\n")...)
	for _, line := range lines {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		printed, err := e.Do(line)
		if err != nil {
			t.Fatalf("%s: %s: %v", d.Pos, line, err)
		}
		out = append(out, printed...)
		if wrong := Check(e.World.Snapshot(), e.World.Now); len(wrong) > 0 {
			t.Errorf("%s: after %q:\n%s", d.Pos, line, strings.Join(wrong, "\n"))
		}
		for _, w := range e.World.Check() {
			t.Errorf("%s: after %q: %s", d.Pos, line, w)
		}
	}
	if len(out) == 0 {
		return "ok"
	}
	return strings.Join(out, "\n")
}

// commandLine puts the directive's first line together again.
func commandLine(d *datadriven.TestData) string {
	parts := []string{d.Cmd}
	for _, a := range d.CmdArgs {
		parts = append(parts, a.String())
	}
	return strings.Join(parts, " ")
}

// Do carries out one command.
func (e *Env) Do(line string) ([]string, error) {
	fields := strings.Fields(joinLists(line))
	name, args := fields[0], fields[1:]
	for _, table := range []map[string]command{buildCommands, worldCommands, observeCommands} {
		if c, ok := table[name]; ok {
			return c(e, args)
		}
	}
	return nil, fmt.Errorf("there is no command %q", name)
}

// command carries out one line of a scenario and returns the lines that it prints.
type command func(e *Env, args []string) ([]string, error)

// joinLists removes the blanks inside parentheses, so that a list is one field.
func joinLists(line string) string {
	var b strings.Builder
	depth := 0
	for _, r := range line {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if r != ' ' || depth == 0 {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Check is S1 in the fake world: no two hosts of the view run one group, unless that is its mode.
func (w *World) Check() []string {
	var wrong []string
	for _, g := range w.groups {
		if runners := w.Runners(g); len(runners) > 1 && g.Mode != model.ModeLoadBalanced {
			wrong = append(wrong, fmt.Sprintf("invariant S1: %s runs on %s", g.Key.Name, strings.Join(runners, " and ")))
		}
	}
	return wrong
}

// Run carries out plans and lets the agents act until nothing changes any more.
func (e *Env) Run() (out []string, err error) {
	for range 50 {
		s := e.World.Snapshot()
		e.last = policy.Plan(s, e.World.Now)
		out = append(out, e.apply(s)...)
		happened := e.World.Act()
		out = append(out, happened...)
		if len(e.last.Decisions) == 0 && len(happened) == 0 {
			return out, nil
		}
	}
	return out, fmt.Errorf("no fixed point after 50 rounds; the last:\n%s", strings.Join(out[max(0, len(out)-8):], "\n"))
}

// apply carries out the last plan, as decided over s.
func (e *Env) apply(s *model.Snapshot) []string {
	var out []string
	for _, d := range e.last.Decisions {
		out = append(out, formatDecision(groupOf(s, d.Group), d))
		e.World.Apply(d)
	}
	return out
}
