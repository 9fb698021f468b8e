// Package mountns runs the tests of a package in a mount namespace of their own, so that no mount can be left behind.
package mountns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// marker is set in the environment of the copy that runs in the namespace.
const marker = "QUORATE_TEST_MOUNTS"

// Main is what a package's TestMain calls. It does not return.
func Main(m *testing.M) {
	if os.Getenv(marker) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fmt.Fprintln(os.Stderr, "making the mounts private:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "running the tests in a mount namespace (needs root):", err)
		os.Exit(1)
	}
	os.Exit(0)
}
