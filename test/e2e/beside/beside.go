// Package beside is what every end-to-end test has beside it, whatever its lab: the live audit, and the end of the lab.
package beside

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/audit/report"
	"github.com/quorate/quorate/test/auditor"
	"github.com/quorate/quorate/test/lab"
)

// Audit has the live audit look on from outside until the test ends; a violation that it finds fails the test.
func Audit(t *testing.T, l *lab.Lab) {
	t.Helper()
	beside, err := auditor.Start(context.Background(), l, auditor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		verdict := beside.Stop()
		t.Log(verdict.Summary())
		for _, f := range verdict.Findings {
			if f.Severity == audit.Violation {
				t.Errorf("the live audit found: %s", report.Text(&f))
			}
		}
	})
}

// TakeDown ends the lab, and keeps its logs where QUORATE_LOGS says. A lab that does not end makes the exit code 1.
func TakeDown(l *lab.Lab, code *int) {
	KeepLogs(l)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.Down(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "taking the lab down:", err)
		*code = 1
	}
}

// KeepLogs copies the lab's logs to the directory that QUORATE_LOGS names, if any.
func KeepLogs(l *lab.Lab) {
	if dir := os.Getenv("QUORATE_LOGS"); dir != "" {
		if err := l.CopyLogs(dir); err != nil {
			fmt.Fprintln(os.Stderr, "copying the lab's logs:", err)
		}
	}
}
