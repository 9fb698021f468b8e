package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var rewriteDocument = flag.Bool("document", false, "write what the commands print into the documents")

// TestDocument runs the commands of documents: what a page shows is what they print.
func TestDocument(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nonexistent")
	clock = func() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) }
	t.Cleanup(func() { clock, stderr = time.Now, os.Stderr })
	t.Chdir("../..")
	for page, least := range map[string]int{"docs/what-if.md": 5, "docs/tutorial.md": 4} {
		document(t, page, least)
	}
}

// document runs the commands of one page, which has at least so many.
func document(t *testing.T, page string, least int) {
	t.Helper()
	tmp := t.TempDir()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	commands, inBlock := 0, false
	for line := range strings.SplitSeq(string(content), "\n") {
		switch {
		case line == "```console":
			inBlock = true
		case line == "```":
			inBlock = false
		case inBlock && !strings.HasPrefix(line, "$ "):
			continue
		}
		out = append(out, line)
		if rest, ok := strings.CutPrefix(line, "$ kubectl quorate "); ok && inBlock {
			commands++
			var printed bytes.Buffer
			stderr = &printed
			c := command("kubectl-quorate")
			c.SetArgs(strings.Fields(strings.ReplaceAll(rest, "first.json.gz", tmp+"/first.json.gz")))
			c.SetOut(&printed)
			c.SetErr(&printed)
			exitCode(c.ExecuteContext(t.Context()))
			if text := strings.TrimRight(printed.String(), "\n"); text != "" {
				out = append(out, strings.Split(text, "\n")...)
			}
		}
	}
	got := strings.Join(out, "\n")
	if *rewriteDocument {
		if err := os.WriteFile(page, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(content) || commands < least {
		t.Errorf("%s shows other output than its %d commands print: run go test ./cmd/kubectl-quorate -run TestDocument -document and read the changes", page, commands)
	}
}
