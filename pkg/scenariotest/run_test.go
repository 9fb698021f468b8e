package scenariotest

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var dir = flag.String("scenariotest.dir", "", "directory of scenarios for TestRun")

func TestHeading(t *testing.T) {
	const good = "# What this scenario is about, in a sentence.\n# Guards: A43, R5, O21, S1, L1\n\nnode a\n"
	if err := Heading(good); err != nil {
		t.Error(err)
	}
	for want, text := range map[string]string{
		"first line":        "\n" + good,
		"about":             "# Short.\n# Guards: A43\n\n",
		"Guards":            "# What this scenario is about, in a sentence.\n\n# Guards: A43\n",
		`"A50" is no`:       strings.Replace(good, "A43", "A50", 1),
		`"R12" is no`:       strings.Replace(good, "R5", "R12", 1),
		"opening comment n": "# What this scenario is about, in a sentence.\n",
	} {
		if err := Heading(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestRun is run by TestRewriteRefusesAnchors, in a process of its own.
func TestRun(t *testing.T) {
	if *dir == "" {
		t.Skip("runs in a process of its own")
	}
	Run(t, *dir, func(*testing.T) Do {
		return func(*testing.T, []string) ([]string, error) { return []string{"right"}, nil }
	})
}

// TestRewriteRefusesAnchors: -rewrite corrects a scenario of the ordinary kind, and leaves alone one that is named for an anchor.
func TestRewriteRefusesAnchors(t *testing.T) {
	tmp := t.TempDir()
	const wrong = "# A scenario whose expectation is wrong.\n# Guards: A43\n\nsay\n----\nwrong\n"
	for _, name := range []string{"a43-wrong.txt", "wrong.txt"} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRun$", "-scenariotest.dir="+tmp, "-rewrite").CombinedOutput() //nolint:gosec // this very binary
	if err == nil || !strings.Contains(string(out), "a43-wrong.txt is named for an anchor") {
		t.Errorf("-rewrite over an anchor: %v\n%s", err, out)
	}
	for name, want := range map[string]string{"a43-wrong.txt": wrong, "wrong.txt": strings.Replace(wrong, "\nwrong\n", "\nright\n", 1)} {
		if got, err := os.ReadFile(filepath.Join(tmp, name)); err != nil || string(got) != want {
			t.Errorf("%s is now\n%s(%v)", name, got, err)
		}
	}
}
