package watchdog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Device is an armed watchdog. It resets the host when it has not been fed for its timeout.
type Device interface {
	// Identity is how the driver names itself.
	Identity() string
	Timeout() time.Duration
	// SetTimeout asks for another timeout; Timeout tells what the device has made of it.
	SetTimeout(timeout time.Duration) error
	Feed() error
	// Disarm stops the device and closes it.
	Disarm() error
	// Leave closes it and lets it count on: the host is reset unless another process opens and feeds it in time.
	Leave() error
}

// Kernel is a Device of the kernel (linux/watchdog.h).
type Kernel struct {
	file    *os.File
	info    *unix.WatchdogInfo
	timeout time.Duration
}

// Open arms the device at the path, such as /dev/watchdog0, which begins to count at once. Nothing is written to a file that is no
// watchdog.
func Open(path string, timeout time.Duration) (Device, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, fmt.Errorf("watchdog device %s: %w: load its driver, or correct selfFence.watchdogDevice", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return nil, fmt.Errorf("watchdog device %s is not a character device: correct selfFence.watchdogDevice", path)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("watchdog device %s is held by another program, such as systemd (RuntimeWatchdogSec) or watchdogd: "+
			"end that, or name another device: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("watchdog device %s: %w", path, err)
	}
	info, err := unix.IoctlGetWatchdogInfo(int(file.Fd()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not answer as a watchdog device: %w: correct selfFence.watchdogDevice", path, err), file.Close())
	}
	k := &Kernel{file: file, info: info}
	if err := k.SetTimeout(timeout); err != nil {
		// What is open counts: it must not reset a host that nobody will feed it for.
		return nil, errors.Join(err, k.Disarm())
	}
	return k, nil
}

// Identity implements Device.
func (k *Kernel) Identity() string {
	name, _, _ := bytes.Cut(k.info.Identity[:], []byte{0})
	return string(name)
}

// Timeout implements Device.
func (k *Kernel) Timeout() time.Duration { return k.timeout }

// SetTimeout implements Device. A device whose timeout is fixed keeps it.
func (k *Kernel) SetTimeout(timeout time.Duration) error {
	fd := int(k.file.Fd())
	if k.info.Options&unix.WDIOF_SETTIMEOUT != 0 {
		if err := unix.IoctlSetPointerInt(fd, unix.WDIOC_SETTIMEOUT, int(timeout/time.Second)); err != nil {
			return fmt.Errorf("watchdog device %s: setting its timeout to %s: %w", k.file.Name(), timeout, err)
		}
	}
	seconds, err := unix.IoctlGetUint32(fd, unix.WDIOC_GETTIMEOUT)
	if err != nil {
		return fmt.Errorf("watchdog device %s: asking for its timeout: %w", k.file.Name(), err)
	}
	k.timeout = time.Duration(seconds) * time.Second
	return k.Feed()
}

// Feed implements Device.
func (k *Kernel) Feed() error {
	if err := unix.IoctlWatchdogKeepalive(int(k.file.Fd())); err != nil {
		return fmt.Errorf("feeding watchdog device %s: %w", k.file.Name(), err)
	}
	return nil
}

// Disarm implements Device: the magic character tells the driver that the close is meant. A driver without it stops at every close,
// one that was loaded with nowayout never does.
func (k *Kernel) Disarm() error {
	_, err := k.file.WriteString("V")
	if err = errors.Join(err, k.file.Close()); err != nil {
		return fmt.Errorf("disarming watchdog device %s: %w", k.file.Name(), err)
	}
	return nil
}

// Leave implements Device. A driver without magic close stops here all the same.
func (k *Kernel) Leave() error {
	if err := k.file.Close(); err != nil {
		return fmt.Errorf("leaving watchdog device %s: %w", k.file.Name(), err)
	}
	return nil
}
