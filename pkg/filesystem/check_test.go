package filesystem

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestE2fsckVerdict: the exit status is a sum, and only what is repaired in full may be mounted.
func TestE2fsckVerdict(t *testing.T) {
	for code, want := range map[int]string{
		0: "", 1: "", 2: "", 3: "",
		4:   "run e2fsck -f /dev/sdx",
		5:   "exit status 5: root is gone",
		8:   "the disk may not answer",
		12:  "not safe to repair",
		16:  "exit status 16",
		32:  "exit status 32",
		128: "exit status 128",
	} {
		err := e2fsckVerdict(code, "root is gone\n\nsdx: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n\t(i.e., without -a or -p options)\n", "/dev/sdx")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("exit status %d: %v, want %q", code, err, want)
		}
	}
}

// TestXfsRepairVerdict: what -n finds is told, with what it has found first.
func TestXfsRepairVerdict(t *testing.T) {
	said := "Phase 1 - find and verify superblock...\n        - zero log...\nsb_icount 999, counted 64\nwould clear root inode 128\n" +
		"No modify flag set, skipping filesystem flush and exiting.\n"
	for code, want := range map[int]string{0: "", 1: "(sb_icount 999, counted 64), and XFS is never repaired by itself", 2: "exit status 2: No modify"} {
		err := xfsRepairVerdict(code, said, "/dev/sdx")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("exit status %d: %v, want %q", code, err, want)
		}
	}
}

// TestRunReports: a program that reads is reported on, one that only waits is not, so that its pendingTimeout runs.
func TestRunReports(t *testing.T) {
	for name, tc := range map[string]struct {
		command []string
		last    string
		want    bool
	}{
		"reads": {[]string{"dd", "if=/dev/zero", "bs=64k"}, "of=/dev/null", true},
		"waits": {[]string{"sleep"}, "60", false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 4*reportInterval)
			defer cancel()
			var reports atomic.Int32
			begin := time.Now()
			_, _, err := run(ctx, tc.command, tc.last, func(string, ...any) { reports.Add(1) })
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 10*reportInterval {
				t.Errorf("run() = %v after %v, want that it was ended", err, time.Since(begin))
			}
			// What a program reads while it starts may count once.
			if got := reports.Load(); got > 1 != tc.want {
				t.Errorf("%d reports", got)
			}
		})
	}
	if code, _, err := run(t.Context(), []string{"false"}, "", func(string, ...any) {}); code != 1 || err != nil {
		t.Errorf("false: %d, %v", code, err)
	}
	if _, _, err := run(t.Context(), []string{"no-such-program"}, "", func(string, ...any) {}); err == nil {
		t.Error("a program that is not there ran")
	}
}

// TestDue: a check that an administrator has asked for by tune2fs.
func TestDue(t *testing.T) {
	super := func(at int, bytes ...byte) []byte {
		raw := make([]byte, 1024)
		copy(raw[at:], bytes)
		return raw
	}
	now := time.Unix(1000, 0)
	for name, tc := range map[string]struct {
		super []byte
		want  bool
	}{
		"never asked for":      {super(0x34, 9, 0, 0xff, 0xff), false},
		"not mounted so often": {super(0x34, 4, 0, 5, 0), false},
		"mounted so often":     {super(0x34, 5, 0, 5, 0), true},
		"not yet":              {super(0x40, 0xe7, 3, 0, 0, 2, 0, 0, 0), false},
		"long ago":             {super(0x40, 0xe7, 3, 0, 0, 1, 0, 0, 0), true},
	} {
		if got := extDue(tc.super, now); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestVacant: what a mount would hide is named, but for what a health check may have left.
func TestVacant(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mnt")
	if err := Vacant(path); err != nil {
		t.Errorf("a path that is not there: %v", err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{aliveFile, "a", "b", "c", "d"} {
		if name == "a" {
			if err := Vacant(path); err != nil {
				t.Errorf("with the file of a health check alone: %v", err)
			}
		}
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Vacant(path); err == nil || !strings.Contains(err.Error(), "is not empty: it has a, b, c and 1 more") {
		t.Errorf("with files: %v", err)
	}
	if err := Vacant(filepath.Join(path, "a")); err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("a file: %v", err)
	}
}
