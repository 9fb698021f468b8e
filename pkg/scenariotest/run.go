package scenariotest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// Do carries out one line of a scenario and returns the lines that it prints.
type Do func(t *testing.T, fields []string) ([]string, error)

var (
	// anchored are the scenarios that are named for an anchor.
	anchored = regexp.MustCompile(`^a[0-9][0-9]-`)
	guard    = regexp.MustCompile(`^(A[0-4][0-9]|O([1-9]|1[0-9]|2[01])|R([1-9]|1[01])|S[1-9]|L1)$`)
)

// Run runs every scenario of the directory, not those of directories in it; open makes the world of each. The expected output of those
// that are named for an anchor is written by hand from the rule: -rewrite does not touch them.
func Run(t *testing.T, dir string, open func(t *testing.T) Do) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := Heading(string(text)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if flag.Lookup("rewrite").Value.String() == "true" && anchored.MatchString(filepath.Base(file)) {
				t.Fatalf("%s is named for an anchor: its expected output is written by hand from the rule, and -rewrite does not touch it", file)
			}
			do := open(t)
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string { return handle(t, d, do) })
		})
	}
}

// handle carries out one directive: the commands on its lines, in order. It returns what they print, or "ok".
func handle(t *testing.T, d *datadriven.TestData, do Do) string {
	t.Helper()
	first := []string{d.Cmd}
	for _, a := range d.CmdArgs {
		first = append(first, a.String())
	}
	var out []string
	for _, line := range append([]string{strings.Join(first, " ")}, strings.Split(d.Input, "\n")...) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		printed, err := do(t, fields)
		if err != nil {
			t.Fatalf("%s: %s: %v", d.Pos, line, err)
		}
		out = append(out, printed...)
	}
	if len(out) == 0 {
		return "ok"
	}
	return strings.Join(out, "\n")
}

// Heading says what is wrong with the opening comment of a scenario: its first line is the intent, and a line `# Guards: RULE, ...`
// names the rules that would not hold if it failed.
func Heading(text string) error {
	lines := strings.Split(text, "\n")
	if !strings.HasPrefix(lines[0], "# ") || len(lines[0]) < 20 {
		return fmt.Errorf("the first line has to say in a comment what the scenario is about")
	}
	opening := lines[:max(0, slices.IndexFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "#") }))]
	i := slices.IndexFunc(opening, func(l string) bool { return strings.HasPrefix(l, "# Guards: ") })
	if i < 0 {
		return fmt.Errorf("the opening comment needs a line `# Guards: RULE, ...`")
	}
	for _, r := range strings.Split(strings.TrimPrefix(opening[i], "# Guards: "), ", ") {
		if !guard.MatchString(r) {
			return fmt.Errorf("%q is no anchor (A01-A48), rule (O1-O21, R1-R11) or invariant (S1-S9, L1)", r)
		}
	}
	return nil
}
