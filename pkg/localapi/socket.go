package localapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SocketName is the name of the agent's socket in its run directory.
const SocketName = "agent.sock"

// inDir calls use with a path of the socket that is short whatever the directory's is: the kernel takes at most 107 bytes.
func inDir[T any](runDir string, use func(path string) (T, error)) (T, error) {
	dir, err := unix.Open(runDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		var none T
		return none, &fs.PathError{Op: "open", Path: runDir, Err: err}
	}
	defer func() { _ = unix.Close(dir) }() // it was opened for its name only
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir, SocketName))
}

func listen(runDir string) (net.Listener, error) {
	path := filepath.Join(runDir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replacing the agent's socket: %w", err)
	}
	listener, err := inDir(runDir, func(path string) (*net.UnixListener, error) {
		return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	})
	if err != nil {
		return nil, fmt.Errorf("making the agent's socket: %w", err)
	}
	listener.SetUnlinkOnClose(false) // its path is ours, and the next agent may have replaced it
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("making the agent's socket: %w", err), listener.Close())
	}
	return listener, nil
}

func dial(ctx context.Context, runDir string) (net.Conn, error) {
	return inDir(runDir, func(path string) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "unix", path) })
}
