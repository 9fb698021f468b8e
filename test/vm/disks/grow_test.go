package disks

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/vm/guest"
)

// TestGuestGrow: a file system that is smaller than its disk grows under an open file, and the next owner has all of it. The kernel of
// the build machines may refuse that to ext4 (CAP_SYS_RESOURCE).
func TestGuestGrow(t *testing.T) {
	guest.Require(t)
	for fsType, mkfs := range map[string]func(device string) []string{
		"ext4": func(device string) []string { return []string{"mkfs.ext4", "-q", device, "64M"} },
		"xfs":  func(device string) []string { return []string{"mkfs.xfs", "-q", "-d", "size=300m", device} },
	} {
		t.Run(fsType, func(t *testing.T) {
			if fsType == "xfs" {
				guest.RequireFull(t) // XFS grows on the build machines' own kernel, too
			}
			devices := guest.NewLUN(t, 512).Paths(t, 2)
			command := mkfs(devices[0])
			guest.Run(t, command[0], command[1:]...)
			more := fmt.Sprintf(`,"fsType":%q`, fsType)
			still := newHost(t, 1, devices[0], more)
			left := still.instance(1)
			still.online(t, left)
			before := still.mebibytes(t)
			must(t, still.Maintain(t.Context(), left))
			if got := still.mebibytes(t); got != before {
				t.Errorf("it has grown from %d to %d MiB, which nobody has asked for", before, got)
			}
			must(t, still.Offline(t.Context(), left))

			a := newHost(t, 1, devices[0], more+`,"resize":"Grow"`)
			inst := a.instance(2)
			a.online(t, inst)
			f := a.write(t, "data", "before")
			must(t, a.Maintain(t.Context(), inst))
			after := a.mebibytes(t)
			if after < 420 {
				t.Errorf("it has %d MiB, from %d", after, before)
			}
			_, err := f.WriteString(" and after")
			must(t, err)
			must(t, f.Close())
			must(t, a.IsAlive(t.Context(), inst))
			must(t, a.Offline(t.Context(), inst))

			b := newHost(t, 2, devices[1], more+`,"fsck":"Force"`)
			next := b.instance(3)
			b.online(t, next)
			b.has(t, "data", "before and after")
			if got := b.mebibytes(t); got != after {
				t.Errorf("the next owner has %d MiB, not %d", got, after)
			}
			must(t, b.Offline(t.Context(), next))
		})
	}
}

func (h *host) mebibytes(t *testing.T) int64 {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(h.mount, &st))
	return int64(st.Blocks) * st.Bsize >> 20
}
