package filesystem

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Type is what is known of a type of file system. The device's name is appended to each command.
type Type struct {
	name string
	// mkfs makes one, with the UUID that follows identify, on a device of at least smallest bytes.
	mkfs     []string
	identify string
	smallest int64
	// preen repairs what can be repaired safely, on a file system that says of itself that it needs it; full checks all of it.
	preen, full *checker
	// replay says that a check needs a log that was replayed by a mount before it.
	replay bool
	// grow has it grow, while it is mounted, to the size of its device.
	grow []string
	// options are mount options that go before the spec's.
	options []string
}

// Tools are the programs that the type needs to be checked and, as is asked for, made and grown.
func (t *Type) Tools(format, grow bool) []string {
	tools := []string{t.full.command[0]}
	if format {
		tools = append([]string{t.mkfs[0]}, tools...)
	}
	if grow {
		tools = append(tools, t.grow[0])
	}
	return tools
}

// signatureArea is the part at the beginning of a disk in which every file system and partition table that we know of shows itself.
const signatureArea = 1 << 20

// Of returns the type of a name, ext4 or xfs.
func Of(name string) (*Type, error) {
	switch name {
	case "ext4":
		return &Type{
			name: name,
			// Small steps are left to the first mount otherwise, which writes to an idle disk for minutes.
			mkfs:     []string{"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"},
			identify: "-U",
			preen:    &checker{command: []string{"e2fsck", "-p"}, verdict: e2fsckVerdict},
			full:     &checker{command: []string{"e2fsck", "-f", "-p"}, verdict: e2fsckVerdict},
			grow:     []string{"resize2fs"},
			options:  []string{"errors=remount-ro"},
		}, nil
	case "xfs":
		return &Type{
			name: name,
			mkfs: []string{"mkfs.xfs", "-q", "-f", "-K"}, identify: "-muuid=",
			smallest: 300 << 20, // mkfs.xfs(8), since xfsprogs 5.19
			// XFS replays its log at the mount, and needs no check. A log that is dirty is never thrown away (xfs_repair -L): a
			// check in full mounts it first, and only looks.
			full: &checker{command: []string{"xfs_repair", "-n"}, verdict: xfsRepairVerdict}, replay: true,
			grow: []string{"xfs_growfs", "-d"},
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
	// Damaged says that the file system itself says that it needs a check; Due that it wants one after so many mounts, or so much
	// time (tune2fs -c and -i; off unless somebody has set them).
	Damaged, Due bool
}

// probe looks at the beginning of a disk. It is blank only if all of the area is zero.
func probe(head []byte, now time.Time) Finding {
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
			Due:     extDue(head[extBase:extHeader], now),
		}
	}
	for _, other := range others {
		if len(head) >= other.at && bytes.HasPrefix(head[other.at:], []byte(other.magic)) {
			return Finding{Name: other.name}
		}
	}
	return Finding{}
}

// extDue says whether the superblock asks for a check by its count of mounts, or by the time of the last one.
func extDue(super []byte, now time.Time) bool {
	const mounts, maxMounts, lastCheck, interval = 0x34, 0x36, 0x40, 0x44
	if most := int16(binary.LittleEndian.Uint16(super[maxMounts:])); most > 0 && binary.LittleEndian.Uint16(super[mounts:]) >= uint16(most) {
		return true
	}
	every := int64(binary.LittleEndian.Uint32(super[interval:]))
	return every > 0 && now.Unix() >= int64(binary.LittleEndian.Uint32(super[lastCheck:]))+every
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
	return probe(head[:n], time.Now()), nil
}

// Format makes the file system on a device of size bytes, with this UUID (its usual text).
func (t *Type) Format(ctx context.Context, device string, size int64, uuid string, report func(string, ...any)) error {
	if size < t.smallest {
		return fmt.Errorf("%s is too small for %s, which needs at least %d MiB: make it larger, or choose ext4", device, t.name, t.smallest>>20)
	}
	id := []string{t.identify, uuid}
	if strings.HasSuffix(t.identify, "=") {
		id = []string{t.identify + uuid}
	}
	command := append(slices.Clip(t.mkfs), id...)
	code, said, err := run(ctx, command, device, report)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit status %d: %s", code, lastLine(said))
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", strings.Join(command, " "), device, err)
	}
	return nil
}
