package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/audit"
)

func verdict() *audit.Verdict {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &audit.Verdict{
		Cluster: "demo", Began: at, Ended: at.Add(10 * time.Second), Looks: 20, Seen: map[audit.Source]int{audit.SourceAPI: 20},
		Blind:  map[audit.Source]int{audit.SourceAPI: 3},
		Unseen: []audit.Unseen{{Source: audit.SourceHosts, Object: "node-a", Message: "it is down"}},
		Findings: []audit.Finding{{
			Invariant: "S1", Severity: audit.Violation, Object: "ResourceGroup demo/shop", Message: "it is twice", Advice: "Stop one",
			Evidence:  []audit.Evidence{{Time: at, Source: audit.SourceAPI, Fact: "on a and b"}},
			FirstSeen: at, LastSeen: at.Add(time.Second), Looks: 2,
		}},
	}
}

func TestVerdict(t *testing.T) {
	var out strings.Builder
	if err := Verdict(&out, verdict(), Table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"S1 VIOLATION  ResourceGroup demo/shop: it is twice", "until 12:00:01.000", "12:00:00.000  api        on a and b", "to do   Stop one",
		"looked at api  20 times", "3 times in vain", "not seen: hosts node-a: it is down", "audit: 20 looks in 10s, 1 VIOLATIONS, 0 notices",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := Verdict(&out, verdict(), JSON); err != nil {
		t.Fatal(err)
	}
	var back audit.Verdict
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil || back.Violations() != 1 {
		t.Errorf("read back %+v: %v", back, err)
	}
}

// TestFindings: one line of JSON for each, one document of YAML for each.
func TestFindings(t *testing.T) {
	two := append(verdict().Findings, verdict().Findings...)
	for format, check := range map[string]func(string) bool{
		JSON:  func(s string) bool { return strings.Count(s, "\n") == 2 },
		YAML:  func(s string) bool { return strings.Count(s, "---\n") == 2 && strings.Contains(s, "invariant: S1") },
		Table: func(s string) bool { return strings.Count(s, "VIOLATION") == 2 },
	} {
		var out strings.Builder
		if err := Findings(&out, two, format); err != nil || !check(out.String()) {
			t.Errorf("%s: %v:\n%s", format, err, out.String())
		}
	}
}
