package policy_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/pkg/policy/polictest"
)

const scenarios = "../../test/scenarios"

// scenarioDir is where TestScenarios looks; another one is for its own test.
var scenarioDir = flag.String("policy.scenarios", scenarios, "directory of the scenarios to run")

// anchored are the scenarios that are named for an anchor.
var anchored = regexp.MustCompile(`^a[0-9][0-9]-`)

// TestScenarios runs every scenario. Expected output is written from the rule, not from the program: `-rewrite` is for changes of
// the format, and refuses the scenarios that are named for an anchor.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, *scenarioDir, func(t *testing.T, path string) {
		if filepath.Dir(path) != filepath.Clean(*scenarioDir) {
			t.Skip("a directory below has a driver of its own")
		}
		if rewriting := flag.Lookup("rewrite"); rewriting.Value.String() == "true" && anchored.MatchString(filepath.Base(path)) {
			t.Fatalf("%s is named for an anchor: its expected output is written by hand from the rule, and -rewrite does not touch it", path)
		}
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

// TestRewriteRefusesAnchors runs this test binary with -rewrite over two scenarios with a wrong expectation each.
func TestRewriteRefusesAnchors(t *testing.T) {
	dir := t.TempDir()
	const wrong = "# A scenario whose expectation is wrong.\n# Guards: A18\n\nnode a\ngroup web\nrun\n----\nnothing to do\n"
	anchor, plain := filepath.Join(dir, "a18-wrong.txt"), filepath.Join(dir, "wrong.txt")
	for _, file := range []string{anchor, plain} {
		if err := os.WriteFile(file, []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestScenarios$", "-rewrite", "-policy.scenarios", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "a18-wrong.txt is named for an anchor") {
		t.Errorf("-rewrite did not refuse (%v):\n%s", err, out)
	}
	for file, want := range map[string]bool{anchor: false, plain: true} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if rewritten := string(text) != wrong; rewritten != want {
			t.Errorf("%s rewritten: %v, want %v", filepath.Base(file), rewritten, want)
		}
	}
}
