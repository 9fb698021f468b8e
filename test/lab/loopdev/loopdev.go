// Package loopdev attaches, finds and detaches loop devices. They belong to the whole machine, not to a namespace, so a lab finds
// its own by the file system that their backing file is on.
package loopdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Device is an attached loop device.
type Device struct {
	// Number is N of /dev/loopN.
	Number int `json:"number"`
	// Backing is the device number of the file system that holds the backing file.
	Backing uint64 `json:"backing"`
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

// On lists the loop devices whose backing file is on a file system with one of the given device numbers.
func On(devices ...uint64) ([]Device, error) {
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
		if !ok {
			continue
		}
		for _, wanted := range devices {
			if d.Backing == wanted {
				found = append(found, d)
				break
			}
		}
	}
	return found, nil
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
