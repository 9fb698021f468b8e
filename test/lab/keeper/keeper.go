// Package keeper starts a lab's daemon in namespaces of its own, outlives it, and removes what it leaves on the machine, however it
// ended: control groups, loop devices and files. What is in namespaces the kernel removes with the daemon.
package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/lab/cgroup"
	"github.com/quorate/quorate/test/lab/daemon"
	"github.com/quorate/quorate/test/lab/loopdev"
	"github.com/quorate/quorate/test/lab/protocol"
)

// Command is the hidden subcommand of the lab's binary that runs [Main].
const Command = "internal-keeper"

// daemonGroup is the control group of the daemon itself, so that killing the lab's group kills it too.
const daemonGroup = "daemon"

// lockFD is the file descriptor of the lab's lock in the keeper.
const lockFD = 3

// ErrRunning says that a lab of the name runs already.
var ErrRunning = errors.New("a lab of this name is already running: use quorate-lab down, or another --name")

// Lock takes the lab's lock, which its keeper holds as long as anything of the lab exists, and returns what to close to give it back.
func Lock(layout protocol.Layout) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(layout.Lock()), 0o755); err != nil {
		return nil, fmt.Errorf("lock the lab: %w", err)
	}
	for {
		file, err := os.OpenFile(layout.Lock(), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock the lab: %w", err)
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			file.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, ErrRunning
			}
			return nil, fmt.Errorf("lock the lab: %w", err)
		}
		// A keeper that just ended removed the file that was locked here: then the lock is worth nothing.
		ours, oursErr := file.Stat()
		theirs, theirsErr := os.Stat(layout.Lock())
		if oursErr == nil && theirsErr == nil && os.SameFile(ours, theirs) {
			return file, nil
		}
		file.Close()
	}
}

// Main starts the daemon, waits for its end and cleans up. The lock is inherited as file descriptor 3 from the command that started
// the keeper. Should the keeper be killed, the daemon dies with it, and the next command for this lab cleans up.
func Main(name string) error {
	layout, err := protocol.NewLayout(name)
	if err != nil {
		return err
	}
	unix.CloseOnExec(lockFD)
	lock := os.NewFile(lockFD, "lock")
	defer lock.Close()
	// A parent-death signal is sent when the thread that started the child ends, so this one must stay.
	runtime.LockOSThread()
	runErr := run(layout)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(runErr, Clean(ctx, layout))
}

func run(layout protocol.Layout) error {
	listeners, err := listen(layout)
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	if err != nil {
		return err
	}
	root, err := cgroup.Root()
	if err != nil {
		return err
	}
	group := root.Sub(layout.CgroupName()).Sub(daemonGroup)
	if err := group.Create(); err != nil {
		return err
	}
	dir, err := group.Open()
	if err != nil {
		return err
	}
	defer dir.Close()
	cmd := exec.Command("/proc/self/exe", daemon.Command, layout.Name)
	cmd.Args[0] = "quorate-lab"
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = listeners
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(dir.Fd()),
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the lab's daemon: %w", err)
	}
	return nil
}

// listen makes a listening socket for each API server, in the machine's own network.
func listen(layout protocol.Layout) ([]*os.File, error) {
	var o protocol.Options
	content, err := os.ReadFile(layout.OptionsFile())
	if err == nil {
		err = json.Unmarshal(content, &o)
	}
	if err != nil {
		return nil, fmt.Errorf("options of the lab: %w", err)
	}
	var files []*os.File
	for range o.APIServers() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return files, fmt.Errorf("listen for the API server: %w", err)
		}
		file, err := listener.(*net.TCPListener).File()
		listener.Close()
		if err != nil {
			return files, fmt.Errorf("listen for the API server: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}

// KillDaemon kills everything of the lab at once. Its keeper then cleans up, or [Clean] does.
func KillDaemon(layout protocol.Layout) error {
	root, err := cgroup.Root()
	if err != nil {
		return err
	}
	return root.Sub(layout.CgroupName()).Kill()
}

// Clean removes what a lab without a daemon has left on the machine and its lock, which the caller must hold. Doing it again is no
// error.
func Clean(ctx context.Context, layout protocol.Layout) error {
	err := CleanFiles(ctx, layout)
	// The lock's file goes last: whoever opens it after this finds nothing of the lab.
	if removeErr := os.Remove(layout.Lock()); !errors.Is(removeErr, os.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return err
}

// CleanFiles kills what still runs in the lab's control group, detaches the loop devices over its disks, and removes its files.
func CleanFiles(ctx context.Context, layout protocol.Layout) error {
	var errs []error
	root, err := cgroup.Root()
	if err == nil {
		err = root.Sub(layout.CgroupName()).Remove(ctx)
	}
	errs = append(errs, err, detachLoops(ctx, layout))
	if err := os.RemoveAll(layout.Dir()); err != nil {
		errs = append(errs, fmt.Errorf("remove the lab's files: %w", err))
	}
	layout.RemoveRoot()
	return errors.Join(errs...)
}

// detachLoops detaches the loop devices over the lab's disks, which the daemon recorded.
func detachLoops(ctx context.Context, layout protocol.Layout) error {
	file, err := os.Open(layout.FilesFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("disks of the lab: %w", err)
	}
	defer file.Close()
	var all []loopdev.Files
	for decoder := json.NewDecoder(file); ; {
		var files loopdev.Files
		if decoder.Decode(&files) != nil {
			break // the end, or the line that was being written at a crash
		}
		all = append(all, files)
	}
	return loopdev.DetachAll(ctx, all...)
}
