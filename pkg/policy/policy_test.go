package policy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/pkg/policy/polictest"
)

const scenarios = "../../test/scenarios"

// TestScenarios runs every scenario. Expected output is written from the rule, not from the program: `-rewrite` is for changes of
// the format only.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, scenarios, func(t *testing.T, path string) {
		env := polictest.NewEnv()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return env.Handle(t, d) })
	})
}

// TestScenariosSayWhatTheyGuard fails a scenario that does not begin with its intent and the rules that it guards.
func TestScenariosSayWhatTheyGuard(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scenarios, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s: %v", scenarios, err)
	}
	guard := regexp.MustCompile(`^(A[0-4][0-9]|O([1-9]|1[0-9]|2[01])|S[1-9]|L1)$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		if !strings.HasPrefix(lines[0], "# ") || len(lines[0]) < 20 {
			t.Errorf("%s: the first line has to say in a comment what the scenario is about", file)
		}
		rules := ""
		for _, l := range lines {
			if !strings.HasPrefix(l, "#") {
				break
			}
			if rest, ok := strings.CutPrefix(l, "# Guards: "); ok {
				rules = rest
			}
		}
		if rules == "" {
			t.Errorf("%s: the opening comment needs a line `# Guards: RULE, ...`", file)
			continue
		}
		for _, r := range strings.Split(rules, ", ") {
			if !guard.MatchString(r) {
				t.Errorf("%s: %q is no anchor (A01-A48), ownership rule (O1-O21) or invariant (S1-S9, L1)", file, r)
			}
		}
	}
}
