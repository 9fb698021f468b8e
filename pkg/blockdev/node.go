package blockdev

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Node is a device node that is opened for each command: read-only, which disturbs no udev rule, and only as long as it stands for the
// device that it stood for at first.
type Node struct {
	path string
	rdev uint64
}

// NewNode looks at the node at path.
func NewNode(path string) (Node, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Node{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return Node{path: path, rdev: st.Rdev}, nil
}

// Path of the node.
func (n Node) Path() string { return n.path }

// ErrNode says that the node cannot be opened, or has become another device's.
var ErrNode = errors.New("the device node is of no use")

// Open returns a file descriptor. It may hang as long as the kernel tries to bring the device back.
func (n Node) Open() (int, error) {
	fd, err := unix.Open(n.path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("%w: %w", ErrNode, &os.PathError{Op: "open", Path: n.path, Err: err})
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Rdev != n.rdev {
		err = fmt.Errorf("%w: %s has become another device", ErrNode, n.path)
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}
