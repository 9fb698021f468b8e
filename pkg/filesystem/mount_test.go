package filesystem

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/mountns"
)

// TestMain runs the tests in a mount namespace of their own.
func TestMain(m *testing.M) { mountns.Main(m) }

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
	all, err := FindMounts(dir)
	if err != nil || len(all) != 2 || all[0].Source != "below" || all[1].Source != "above" {
		t.Errorf("got %v, %v", all, err)
	}
	if top, found, err := FindMount(dir); err != nil || !found || top.Source != "above" {
		t.Errorf("on top: %v %v %v", top, found, err)
	}
}

func TestMountOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		builtIn, spec []string
		wantFlags     uintptr
		wantData      string
	}{
		"none":     {},
		"mixed":    {[]string{"errors=remount-ro"}, []string{"noatime", "commit=5"}, unix.MS_NOATIME, "errors=remount-ro,commit=5"},
		"the last": {nil, []string{"ro", "rw", "nodev"}, unix.MS_NODEV, ""},
	} {
		t.Run(name, func(t *testing.T) {
			flags, data := mountOptions(tc.builtIn, tc.spec)
			if flags != tc.wantFlags || data != tc.wantData {
				t.Errorf("mountOptions() = %#x, %q", flags, data)
			}
		})
	}
}

// TestReadOnly follows the last word of the options.
func TestReadOnly(t *testing.T) {
	if ReadOnly([]string{"noatime"}) || !ReadOnly([]string{"rw", "ro"}) || ReadOnly([]string{"ro", "rw"}) {
		t.Error("ReadOnly() does not follow the last option")
	}
}
