// Package systemd is for tests that need a real systemd: the guest of a package that imports it runs under one (as its first process).
package systemd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/test/vm/guest"
)

// Require skips the test outside of a guest that runs under systemd.
func Require(t testing.TB) {
	t.Helper()
	guest.Require(t)
	if comm, err := os.ReadFile("/proc/1/comm"); err != nil || strings.TrimSpace(string(comm)) != "systemd" {
		t.Fatalf("the first process is %q, %v: not systemd", comm, err)
	}
}

// Files and UntilBoot are where units are that a host's administrator writes, for good or until the next boot.
const (
	Files     = "/etc/systemd/system"
	UntilBoot = "/run/systemd/system"
)

// Units writes units, by their names, and has systemd read them. They are killed and removed at the end of the test.
func Units(t testing.TB, units map[string]string) {
	t.Helper()
	var names []string
	for name, content := range units {
		path := filepath.Join(Files, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(path) })
		if !strings.Contains(name, "@.") {
			names = append(names, name)
		}
	}
	guest.Run(t, "systemctl", "daemon-reload")
	t.Cleanup(func() {
		_ = guest.After("systemctl", append([]string{"kill", "--signal=KILL"}, names...)...)
		_ = guest.After("systemctl", append([]string{"stop"}, names...)...)
		_ = guest.After("systemctl", append([]string{"reset-failed"}, names...)...)
	})
}

// Link makes a symbolic link, and the directory that it is in, until the end of the test. systemd has to read it.
func Link(t testing.TB, to string, path ...string) {
	t.Helper()
	link := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(link) })
}

// Show are properties of a unit, as systemctl tells them: not our code.
func Show(t testing.TB, unit string, properties ...string) map[string]string {
	t.Helper()
	out := guest.Run(t, "systemctl", "show", "--property="+strings.Join(properties, ","), unit)
	all := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		all[name] = value
	}
	return all
}
