// Package loopdev attaches, finds and detaches loop devices. They belong to the whole machine, not to a namespace, so a lab finds
// its own by the file system that their backing file is on.
package loopdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Device is an attached loop device.
type Device struct {
	// Number is N of /dev/loopN.
	Number int `json:"number"`
	// Backing is the device number of the file system that holds the backing file, Inode the file's number there.
	Backing uint64 `json:"backing"`
	Inode   uint64 `json:"inode"`
	// File is the backing file's name as the kernel tells it; it may lack the path of a mount that is gone.
	File string `json:"file"`
}

// Path is the device's node.
func (d Device) Path() string { return fmt.Sprintf("/dev/loop%d", d.Number) }

// Attach attaches a free loop device to a file and returns its node. It is detached when its last user is gone and [Detach] was called.
func Attach(file string) (string, error) {
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("loop device: %w", err)
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("loop device: %w", err)
	}
	defer control.Close()
	for range 50 {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", fmt.Errorf("find a free loop device: %w", err)
		}
		path := Device{Number: number}.Path()
		err = configure(path, backing)
		if errors.Is(err, unix.EBUSY) {
			continue // someone else was quicker
		}
		if err != nil {
			return "", fmt.Errorf("attach %s to %s: %w", path, file, err)
		}
		return path, nil
	}
	return "", fmt.Errorf("attach a loop device to %s: others took every free one", file)
}

func configure(path string, backing *os.File) error {
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer device.Close()
	config := unix.LoopConfig{Fd: uint32(backing.Fd()), Size: 4096}
	copy(config.Info.File_name[:], backing.Name())
	return unix.IoctlLoopConfigure(int(device.Fd()), &config)
}

// Detach detaches a loop device, at once or when its last user closes it. A device that is not attached is no error.
func Detach(path string) error {
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("detach loop device: %w", err)
	}
	defer device.Close()
	err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0)
	if err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("detach %s: %w", path, err)
	}
	return nil
}

// Files are the files of one file system that loop devices may be over.
type Files struct {
	// Device is the file system's device number. Numbers are used again once a file system is gone, so it alone is not enough.
	Device uint64 `json:"device"`
	// FirstInode and Count say which files of it, by inode number.
	FirstInode uint64 `json:"firstInode"`
	Count      uint64 `json:"count"`
}

func (f Files) contain(d Device) bool {
	return d.Backing == f.Device && d.Inode >= f.FirstInode && d.Inode-f.FirstInode < f.Count
}

// On lists the loop devices whose backing file is one of the given.
func On(files ...Files) ([]Device, error) {
	attached, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	var found []Device
	for _, path := range attached {
		name := strings.Split(path, "/")[3]
		number, err := strconv.Atoi(strings.TrimPrefix(name, "loop"))
		if err != nil {
			continue
		}
		d, ok := inspect(number)
		if ok && slices.ContainsFunc(files, func(f Files) bool { return f.contain(d) }) {
			found = append(found, d)
		}
	}
	return found, nil
}

// DetachAll detaches the loop devices over the files and waits until they are free. A device that is mounted goes only with its mount,
// and the kernel takes a dead host's mounts away a moment after its last process.
func DetachAll(ctx context.Context, files ...Files) error {
	for {
		loops, err := On(files...)
		if err != nil || len(loops) == 0 {
			return err
		}
		for _, l := range loops {
			if err := Detach(l.Path()); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("loop devices are still in use: %v", loops)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// inspect reads a device's state; a device that was detached meanwhile is not found.
func inspect(number int) (Device, bool) {
	d := Device{Number: number}
	device, err := os.OpenFile(d.Path(), os.O_RDONLY, 0)
	if err != nil {
		return d, false
	}
	defer device.Close()
	info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
	if err != nil {
		return d, false
	}
	d.Inode = info.Inode
	d.Backing = decodeDevice(info.Device)
	d.File = unix.ByteSliceToString(info.File_name[:])
	return d, true
}

// decodeDevice turns the kernel's packed device number, which the loop driver reports, into the form that stat gives.
func decodeDevice(packed uint64) uint64 {
	major := (packed & 0xfff00) >> 8
	minor := (packed & 0xff) | ((packed >> 12) & 0xfff00)
	return unix.Mkdev(uint32(major), uint32(minor))
}
