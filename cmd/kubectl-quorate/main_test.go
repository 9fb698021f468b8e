package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestMistakesAndHelp: a mistake is told in a sentence and means 2, help is there for each way to call the command.
func TestMistakesAndHelp(t *testing.T) {
	cases := map[string]struct {
		name string
		args []string
		want string
		code int
	}{
		"help as a plugin":      {"kubectl-quorate", []string{"--help"}, "kubectl quorate [command]", 0},
		"help alone":            {"quoratectl", []string{"audit", "--help"}, "quoratectl audit", 0},
		"completion":            {"kubectl-quorate", []string{"__complete", "audit", "--output", ""}, "yaml", 0},
		"an unknown format":     {"kubectl-quorate", []string{"audit", "-o", "xml"}, `"xml" is not one of table, json, yaml`, 2},
		"a negative length":     {"kubectl-quorate", []string{"audit", "--for", "-1s"}, "not negative", 2},
		"an impatient audit":    {"kubectl-quorate", []string{"audit", "--interval", "1ms"}, "at least 100ms", 2},
		"no such kubeconfig":    {"kubectl-quorate", []string{"audit", "--kubeconfig", "/no/such/file"}, "/no/such/file", 2},
		"an unknown subcommand": {"kubectl-quorate", []string{"dance"}, "unknown command", 2},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			c := command(tc.name)
			c.SetArgs(tc.args)
			c.SetOut(&out)
			c.SetErr(&out)
			err := c.ExecuteContext(t.Context())
			if err != nil {
				fmt.Fprintln(&out, err)
			}
			if !strings.Contains(out.String(), tc.want) {
				t.Errorf("got %q, want it to contain %q", out.String(), tc.want)
			}
			if got := exitCode(err); got != tc.code {
				t.Errorf("exit code %d, want %d", got, tc.code)
			}
		})
	}
	if got := exitCode(fmt.Errorf("audit: %w", errFound)); got != 1 {
		t.Errorf("exit code %d of violations, want 1", got)
	}
	if got := exitCode(errors.New("x")); got != 2 {
		t.Errorf("exit code %d of a failure, want 2", got)
	}
}
