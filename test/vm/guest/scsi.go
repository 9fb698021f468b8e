package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
)

const (
	targetCore  = "/sys/kernel/config/target/core"
	targetISCSI = "/sys/kernel/config/target/iscsi"
	// backing is where the disks' contents are: in memory.
	backing = "/run/quorate-luns"
)

// numbers makes names that are used once.
var numbers atomic.Uint32

// LUN is a disk of a real SCSI target in the guest's kernel (LIO), with persistent reservations. Hosts reach it by iSCSI: the
// target's loopback fabric deadlocks in PREEMPT AND ABORT, because that command waits for the very queue it came by.
type LUN struct {
	// Backstore is the folder of the disk's backstore, Serial its serial number: the device identification (VPD 0x83) has it.
	Backstore, Serial string
	// File has the disk's contents: what a test may look at behind everybody's back.
	File string
	// Target is the disk's iSCSI name.
	Target string
}

func (l *LUN) group() string { return filepath.Join(targetISCSI, l.Target, "tpgt_1") }

// NewLUN makes a disk of so many MiB that no host sees yet.
func NewLUN(t testing.TB, mib int) *LUN {
	t.Helper()
	Modprobe(t, "iscsi_target_mod", "iscsi_tcp", "target_core_file", "sd_mod", "sg")
	n := numbers.Add(1)
	name := fmt.Sprintf("disk%d", n)
	l := &LUN{
		Backstore: filepath.Join(targetCore, fmt.Sprintf("fileio_%d", n), name),
		Serial:    fmt.Sprintf("90a7e000%08x", n),
		File:      filepath.Join(mkdir(t, backing), name),
		Target:    "iqn.2026-01.io.quorate.guest:" + name,
	}
	lun := filepath.Join(l.group(), "lun/lun_0")
	takeDown(t,
		writing("0", l.group(), "enable"), removing(lun, "disk"), removing(lun), removing(l.group()), removing(filepath.Dir(l.group())),
		removing(l.Backstore), removing(filepath.Dir(l.Backstore)), removing(l.File))
	size := int64(mib) << 20
	f, err := os.Create(l.File)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	mkdir(t, l.Backstore)
	put(t, fmt.Sprintf("fd_dev_name=%s,fd_dev_size=%d", l.File, size), l.Backstore, "control")
	put(t, "1", l.Backstore, "enable")
	put(t, l.Serial, l.Backstore, "wwn/vpd_unit_serial")
	mkdir(t, lun)
	if err := os.Symlink(l.Backstore, filepath.Join(lun, "disk")); err != nil {
		t.Fatalf("exporting %s: %v", l.Backstore, err)
	}
	for _, open := range []string{"generate_node_acls", "cache_dynamic_acls"} { // whoever comes is served
		put(t, "1", l.group(), "attrib", open)
	}
	for _, closed := range []string{"authentication", "demo_mode_write_protect"} {
		put(t, "0", l.group(), "attrib", closed)
	}
	put(t, "1", l.group(), "enable")
	return l
}

var connection = regexp.MustCompile(`Connection(\d+):0`)

// Path lets one more initiator log in, and returns its device, such as /dev/sda. Each has a session and a name of its own: to the
// target it is another host, or another port of one host.
func (l *LUN) Path(t testing.TB) string {
	t.Helper()
	n := numbers.Add(1)
	address := fmt.Sprintf("127.1.%d.%d", n>>8, n&0xff) // an address of its own, since the initiator opens one session for each
	portal := mkdir(t, l.group(), "np", address+":3260")
	var device string
	takeDown(t, func() error { return deleteDevice(device) }, removing(portal))
	out := Run(t, "iscsistart", "-i", fmt.Sprintf("iqn.2026-01.io.quorate.guest:host%d", n), "-t", l.Target, "-g", "1", "-a", address, "-p", "3260")
	session := connection.FindStringSubmatch(out)
	if session == nil {
		t.Fatalf("iscsistart does not tell its session:\n%s", out)
	}
	pattern := fmt.Sprintf("/sys/class/iscsi_session/session%s/device/target*/*:0/block/*", session[1])
	Eventually(t, "the disk of "+pattern, func() bool {
		found, _ := filepath.Glob(pattern)
		if len(found) != 1 || get(t, found[0], "device/state") != "running" {
			return false
		}
		device = filepath.Join("/dev", filepath.Base(found[0]))
		f, err := os.Open(device) // its name is there before the disk behind it is
		if err != nil {
			return false
		}
		return f.Close() == nil
	})
	return device
}

// Paths is Path for n hosts or ports.
func (l *LUN) Paths(t testing.TB, n int) []string {
	t.Helper()
	devices := make([]string, n)
	for i := range devices {
		devices[i] = l.Path(t)
	}
	return devices
}

// CutPath makes a path fail as a pulled cable does: every later command on it ends in an I/O error.
func CutPath(t testing.TB, device string) {
	t.Helper()
	put(t, "offline\n", sysfs(device), "device/state")
}

// MendPath undoes CutPath.
func MendPath(t testing.TB, device string) {
	t.Helper()
	put(t, "running\n", sysfs(device), "device/state")
}

// sysfs is the kernel's folder of a disk, which may be named by a link.
func sysfs(device string) string {
	if real, err := filepath.EvalSymlinks(device); err == nil {
		device = real
	}
	return filepath.Join("/sys/block", filepath.Base(device))
}

func deleteDevice(device string) error {
	if device == "" {
		return nil
	}
	return writing("1\n", sysfs(device), "device/delete")()
}
