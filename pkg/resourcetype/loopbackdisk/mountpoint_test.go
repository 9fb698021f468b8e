package loopbackdisk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A mount point behind a symbolic link would be mounted where nobody looks for it when the disk has to be taken away.
func TestMountPointRefusesLinks(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := mountPoint(filepath.Join(real, "deep")); err != nil {
		t.Errorf("a plain path: %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	err := mountPoint(filepath.Join(link, "deep"))
	if err == nil || !strings.Contains(err.Error(), "symbolic link to "+filepath.Join(real, "deep")) {
		t.Errorf("a path through a link: %v", err)
	}
}

// All mounts at a path are seen, not only the one on top.
func TestFindMountsBelowOthers(t *testing.T) {
	dir := t.TempDir()
	for _, source := range []string{"below", "above"} {
		if err := unix.Mount(source, dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	all, err := findMounts(dir)
	if err != nil || len(all) != 2 || all[0].Source != "below" || all[1].Source != "above" {
		t.Errorf("got %v, %v", all, err)
	}
	if top, found, err := findMount(dir); err != nil || !found || top.Source != "above" {
		t.Errorf("on top: %v %v %v", top, found, err)
	}
}
