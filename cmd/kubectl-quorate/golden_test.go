package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestGolden runs the command lines of testdata/*.txt in the directory of the repository, and compares what they print and their exit
// codes. What follows a command line is its standard input. `write NAME` makes a file in the test's own directory, called $TMP. The clock
// stands still.
func TestGolden(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nonexistent")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	clock = func() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) }
	t.Cleanup(func() { clock, stderr = time.Now, os.Stderr })
	datadriven.Walk(t, here+"/testdata", func(t *testing.T, path string) {
		tmp := t.TempDir()
		t.Chdir("../..")
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			line := []string{d.Cmd}
			for _, a := range d.CmdArgs {
				line = append(line, strings.ReplaceAll(a.String(), "$TMP", tmp))
			}
			if d.Cmd == "write" {
				if err := os.WriteFile(tmp+"/"+line[1], []byte(d.Input), 0o600); err != nil {
					t.Fatal(err)
				}
				return "ok"
			}
			var out, errs bytes.Buffer
			c := command("kubectl-quorate")
			c.SetArgs(line)
			c.SetIn(strings.NewReader(d.Input))
			c.SetOut(&out)
			c.SetErr(&errs)
			stderr = &errs
			code := exitCode(c.ExecuteContext(t.Context()))
			printed := strings.ReplaceAll(out.String()+errs.String(), tmp, "$TMP")
			return printed + fmt.Sprintf("exit code %d\n", code)
		})
	})
}
