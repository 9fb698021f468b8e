package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Multipath puts a dm-multipath device over the paths of one host, and returns it, such as /dev/mapper/paths3. It fails over to
// another path on an error, and fails when none is left.
func Multipath(t testing.TB, paths ...string) string {
	t.Helper()
	Modprobe(t, "dm-multipath", "dm-round-robin")
	table := fmt.Sprintf("0 %s multipath 0 0 1 1 round-robin 0 %d 1", sectors(t, paths[0]), len(paths))
	for _, path := range paths {
		table += fmt.Sprintf(" %s 1", get(t, sysfs(path), "dev"))
	}
	// The identity is what the multipath tools give, by which everybody knows such a device.
	return mapped(t, "paths", "mpath-3"+get(t, sysfs(paths[0]), "device/wwid"), table)
}

func mapped(t testing.TB, kind, uuid, table string) string {
	t.Helper()
	name := fmt.Sprintf("%s%d", kind, numbers.Add(1))
	Run(t, "dmsetup", "create", name, "--noudevsync", "--noudevrules", "--uuid", uuid, "--table", table)
	takeDown(t, func() error {
		if out, err := runAfter("dmsetup", "remove", "--noudevsync", "--noudevrules", "--force", name); err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(out))
		}
		return nil
	})
	// No udev runs here, so the name is laid as udev would.
	node := fmt.Sprintf("/dev/dm-%s", strings.TrimSpace(Run(t, "dmsetup", "info", "--columns", "--noheadings", "-o", "minor", name)))
	device := filepath.Join(mkdir(t, "/dev/mapper"), name)
	if err := os.Symlink(node, device); err != nil {
		t.Fatal(err)
	}
	takeDown(t, removing(device))
	Eventually(t, node, func() bool {
		_, err := os.Stat(device)
		return err == nil
	})
	return device
}

// sectors is a disk's size as the kernel tells it, in units of 512 bytes.
func sectors(t testing.TB, device string) string { return get(t, sysfs(device), "size") }
