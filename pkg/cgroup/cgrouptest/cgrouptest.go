// Package cgrouptest gives a test a control group of its own, of which nothing is left at its end.
package cgrouptest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/cgroup"
)

// Root makes a control group for the test, wherever the machine has mounted cgroup2. It needs root.
func Root(t *testing.T) string {
	t.Helper()
	mount, err := mountPoint()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(mount, "quorate-test-"+rand.Text())
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatalf("making a cgroup for the test (needs root): %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := cgroup.At(root).Kill(ctx); err != nil {
			t.Error(err)
		}
	})
	return root
}

// mountPoint finds the cgroup2 file system: it is elsewhere on a hybrid machine.
func mountPoint() (string, error) {
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", fmt.Errorf("looking for cgroup2: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return filepath.Clean(f[1]), nil
		}
	}
	return "", fmt.Errorf("no cgroup2 file system is mounted")
}
