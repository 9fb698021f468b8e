package guest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Marker is set in the environment of what the runner starts in the guest.
const Marker = "QUORATE_GUEST"

// Require skips the test outside of the guest.
func Require(t testing.TB) {
	t.Helper()
	if os.Getenv(Marker) == "" {
		t.Skip("needs the emulated guest: run make test-vm")
	}
}

// Full is set in the environment, outside and inside of the guest, for the tests that are too long for every run.
const Full = "QUORATE_TEST_FULL"

// LeftOut is what a test says that is skipped because it is too long for every run.
const LeftOut = "one of the long tests: set " + Full + "=1"

// RequireFull skips the test unless the long ones are to run too. What it shows is shown in short by another one.
func RequireFull(t testing.TB) {
	t.Helper()
	Require(t)
	if !AtLength() {
		t.Skip(LeftOut)
	}
}

// AtLength says that the long tests are to run too.
func AtLength() bool { return os.Getenv(Full) != "" }

// Modprobe loads kernel modules.
func Modprobe(t testing.TB, modules ...string) {
	t.Helper()
	Run(t, "modprobe", append([]string{"-a"}, modules...)...)
}

// Run runs a command that has to succeed, and returns what it printed.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := Try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// Try runs a command that may fail, and returns what it printed on both outputs. An *exec.ExitError is its exit code.
func Try(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	return string(out), err
}

// runAfter is Try for what a test leaves behind: the test's own context has ended by then.
func runAfter(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// After is Try for what a test leaves behind, without what it prints.
func After(name string, args ...string) error {
	_, err := runAfter(name, args...)
	return err
}

// ExitCode is the exit code in the error of Try: 0 for nil, -1 when the command did not run.
func ExitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// Eventually waits until the condition holds. The limit is only there to end a broken test: the guest is slow.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited two minutes for %s", what)
		}
	}
}

// put writes a control file of the kernel.
func put(t testing.TB, value string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(value), 0o644); err != nil {
		t.Fatalf("writing %q: %v", value, err)
	}
}

// get reads a control file of the kernel, without the white space around it.
func get(t testing.TB, path ...string) string {
	t.Helper()
	value, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

func mkdir(t testing.TB, path ...string) string {
	t.Helper()
	dir := filepath.Join(path...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// takeDown carries out the steps that undo a set-up, last one first; a step that fails is told, not fatal: the guest ends anyway.
func takeDown(t testing.TB, steps ...func() error) {
	t.Cleanup(func() {
		for _, step := range steps {
			if err := step(); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Logf("taking down: %v", err)
			}
		}
	})
}

func removing(path ...string) func() error {
	return func() error { return os.Remove(filepath.Join(path...)) }
}

func writing(value string, path ...string) func() error {
	return func() error { return os.WriteFile(filepath.Join(path...), []byte(value), 0o644) }
}
