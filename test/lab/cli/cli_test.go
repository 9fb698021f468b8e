package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/protocol"
)

func TestParseLoss(t *testing.T) {
	for text, want := range map[string]int{"30%": 300, "100": 1000, "0.5%": 5, "0": 0, "33.3%": 333} {
		if got, err := parseLoss(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "many", "-1", "101%", "30 %%"} {
		if got, err := parseLoss(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

// TestEveryCommandIsExplained: each command that people see says in one line what it does.
func TestEveryCommandIsExplained(t *testing.T) {
	var visit func(*cobra.Command)
	seen := 0
	visit = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		seen++
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q", c.CommandPath(), c.Short)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(New())
	if seen < 25 {
		t.Errorf("only %d commands", seen)
	}
}

func TestHelpAndMistakes(t *testing.T) {
	cases := map[string]struct {
		args []string
		want string
	}{
		"help":                   {[]string{"--help"}, "Break things:"},
		"completion":             {[]string{"completion", "bash"}, "bash completion"},
		"a bad name":             {[]string{"status", "--name", "../x"}, "lab name"},
		"a lab that is not":      {[]string{"status", "--name", "no-such-lab"}, "no such lab is running"},
		"too many hosts":         {[]string{"up", "--name", "no-such-lab", "--hosts", "27"}, "use 1 to 26"},
		"unknown manifests":      {[]string{"up", "--name", "no-such-lab", "--manifests", "no-such-directory"}, "manifests: "},
		"a command without host": {[]string{"exec"}, "requires at least 2 arg"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			c := New()
			c.SetArgs(tc.args)
			c.SetOut(&out)
			c.SetErr(&out)
			if code := Report(&out, c.ExecuteContext(t.Context())); (code == 0) != (tc.args[len(tc.args)-1] == "--help" || tc.args[0] == "completion") {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(out.String(), tc.want) {
				t.Errorf("got %q, want it to contain %q", out.String(), tc.want)
			}
		})
	}
}

func TestPrintStatus(t *testing.T) {
	var out bytes.Buffer
	printStatus(&out, &protocol.Status{Name: "x", API: protocol.APIReady, Hosts: []protocol.HostStatus{
		{Name: "node-a", State: protocol.HostDown, Boots: 2, Paths: []array.PathState{array.PathOK, array.PathFailed}},
	}})
	for _, want := range []string{"lab x", "node-a", "down", "2:failed", "DISK"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
}
