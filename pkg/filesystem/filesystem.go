package filesystem

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
)

// Type is what is known of a type of file system. The device's name is appended to each command.
type Type struct {
	// mkfs makes one, with the UUID that follows identify.
	mkfs     []string
	identify string
	// replay says that a check needs a log that was replayed by a mount before it.
	replay bool
	// fsck repairs what can be repaired safely, force checks in full. good has the exit codes after which it may be mounted.
	fsck, force []string
	good        []int
	// options are mount options that go before the spec's.
	options []string
}

// Tools are the programs that the type needs to be checked and, if format is set, made.
func (t *Type) Tools(format bool) []string {
	if format {
		return []string{t.mkfs[0], t.force[0]}
	}
	return []string{t.force[0]}
}

// signatureArea is the part at the beginning of a disk in which every file system and partition table that we know of shows itself.
const signatureArea = 1 << 20

// Of returns the type of a name, ext4 or xfs.
func Of(name string) (*Type, error) {
	switch name {
	case "ext4":
		return &Type{
			// Small steps are left to the first mount otherwise, which writes to an idle disk for minutes.
			mkfs:     []string{"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"},
			identify: "-U",
			// Exit codes: 1 repaired, 2 repaired and the system should restart if it was mounted, which it is not.
			fsck: []string{"e2fsck", "-p"}, force: []string{"e2fsck", "-f", "-p"}, good: []int{0, 1, 2},
			options: []string{"errors=remount-ro"},
		}, nil
	case "xfs":
		return &Type{
			mkfs: []string{"mkfs.xfs", "-q", "-f", "-K"}, identify: "-muuid=",
			// XFS replays its log at the mount, and needs no check. A log that is dirty is never thrown away (xfs_repair -L): a
			// check in full mounts it first.
			force: []string{"xfs_repair"}, good: []int{0}, replay: true,
		}, nil
	default:
		return nil, fmt.Errorf("file system type %q is not supported, only ext4 and xfs are", name)
	}
}

// Finding is what a look at the beginning of a disk says.
type Finding struct {
	Blank bool
	// Name of the file system, or of something else that makes a disk its own (see others); empty when it is none that is known here.
	Name string
	// UUID of the file system, 32 hexadecimal digits; empty when it is neither ext4 nor xfs.
	UUID string
	// Damaged says that the file system itself says that it needs a check.
	Damaged bool
}

// probe looks at the beginning of a disk. It is blank only if all of the area is zero.
func probe(head []byte) Finding {
	const (
		extBase, extMagic, extState, extIncompat, extUUID = 1024, 0x38, 0x3a, 0x60, 0x68
		extHeader                                         = extBase + 1024
		extValid, extErrors                               = 1, 2
		extNeedsRecovery                                  = 4
		xfsUUID                                           = 32
	)
	switch {
	case len(bytes.TrimLeft(head, "\x00")) == 0:
		return Finding{Blank: true}
	case bytes.HasPrefix(head, []byte("XFSB")) && len(head) >= xfsUUID+16:
		return Finding{Name: "xfs", UUID: hex.EncodeToString(head[xfsUUID : xfsUUID+16])}
	case len(head) >= extHeader && binary.LittleEndian.Uint16(head[extBase+extMagic:]) == 0xef53:
		state := binary.LittleEndian.Uint16(head[extBase+extState:])
		recovery := binary.LittleEndian.Uint32(head[extBase+extIncompat:])&extNeedsRecovery != 0
		return Finding{
			Name: "ext4", UUID: hex.EncodeToString(head[extBase+extUUID : extBase+extUUID+16]),
			// A journal that wants to be replayed is no damage: the mount does it, as a check would.
			Damaged: state&extErrors != 0 || state&extValid == 0 && !recovery,
		}
	}
	for _, other := range others {
		if len(head) >= other.at && bytes.HasPrefix(head[other.at:], []byte(other.magic)) {
			return Finding{Name: other.name}
		}
	}
	return Finding{}
}

// others are what else can be told by its mark, so that an operator reads what is on a disk, and so that it is never taken for what a
// mkfs has left half made: neither mkfs writes any of these marks (libblkid's names; its table of superblocks has the offsets).
var others = []struct {
	name, magic string
	at          int
}{
	{"crypto_LUKS", "LUKS\xba\xbe", 0},
	{"LVM2_member", "LABELONE", 0}, {"LVM2_member", "LABELONE", 512}, {"LVM2_member", "LABELONE", 1024}, {"LVM2_member", "LABELONE", 1536},
	{"gpt", "EFI PART", 512}, {"gpt", "EFI PART", 4096}, // sectors of 512 and 4096 bytes
	{"linux_raid_member", "\xfc\x4e\x2b\xa9", 0}, {"linux_raid_member", "\xfc\x4e\x2b\xa9", 4096},
	{"btrfs", "_BHRfS_M", 0x10040},
	{"swap", "SWAPSPACE2", 4086}, {"swap", "SWAPSPACE2", 65526},
	{"dos", "\x55\xaa", 510}, // a partition table, or the first sector of FAT, exFAT and NTFS
}

// Look reads the beginning of a device or file; one that is shorter than the area is read whole.
func Look(file *os.File) (Finding, error) {
	head := make([]byte, signatureArea)
	n, err := file.ReadAt(head, 0)
	if n == 0 && err != nil {
		return Finding{}, fmt.Errorf("reading the beginning of %s: %w", file.Name(), err)
	}
	return probe(head[:n]), nil
}

// Format makes the file system on a device, with this UUID (its usual text).
func (t *Type) Format(ctx context.Context, device, uuid string) error {
	id := []string{t.identify, uuid}
	if strings.HasSuffix(t.identify, "=") {
		id = []string{t.identify + uuid}
	}
	return run(ctx, []int{0}, append(slices.Clip(t.mkfs), id...), device)
}

// Check checks the file system as the policy says, before it is mounted at mountPath. Auto follows the file system's own word. XFS
// needs its log replayed before a check in full, which is done by a mount at mountPath.
func (t *Type) Check(
	ctx context.Context, policy v1alpha1.FsckPolicy, found Finding, device, mountPath string, report func(string, ...any),
) error {
	switch {
	case policy == v1alpha1.FsckSkip:
		return nil
	case policy == v1alpha1.FsckForce:
		report("checking %s in full", device)
		if t.replay {
			if err := replay(ctx, device, mountPath, found.Name); err != nil {
				return err
			}
		}
		return run(ctx, t.good, t.force, device)
	case found.Damaged && len(t.fsck) > 0:
		report("checking %s", device)
		return run(ctx, t.good, t.fsck, device)
	}
	return nil
}

// replay mounts a file system once, so that its log is replayed.
func replay(ctx context.Context, device, mountPath, name string) error {
	if err := mountPoint(mountPath); err != nil {
		return err
	}
	var data string
	if name == "xfs" {
		data = "nouuid"
	}
	if err := unix.Mount(device, mountPath, name, unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, data); err != nil {
		return fmt.Errorf("replaying the log of %s by a mount on %s: %w", device, mountPath, err)
	}
	return Unmount(ctx, mountPath)
}

// run runs a tool on the device. Its exit code must be one of those that are good.
func run(ctx context.Context, good []int, command []string, device string) error {
	cmd := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], device)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	// A tool must not go on writing when the agent that started it is dead and its successor gives the disk away.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && slices.Contains(good, exit.ExitCode()) {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, lastLine(strings.TrimSpace(string(out))))
}

func lastLine(text string) string {
	return text[strings.LastIndexByte(text, '\n')+1:]
}
