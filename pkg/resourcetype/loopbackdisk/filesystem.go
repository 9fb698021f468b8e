package loopbackdisk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/quorate/quorate/api/v1alpha1"
)

// fileSystem is what is known of a type of file system. The device's name is appended to each command.
type fileSystem struct {
	mkfs []string
	// fsck repairs what can be repaired safely, force checks in full. good has the exit codes after which it may be mounted.
	fsck, force []string
	good        []int
	// options are mount options that go before the spec's.
	options []string
}

// signatureArea is the part at the beginning of a disk in which every file system and partition table that we know of shows itself.
const signatureArea = 1 << 20

func fileSystemOf(name string) (*fileSystem, error) {
	switch name {
	case "ext4":
		return &fileSystem{
			// Small steps are left to the first mount otherwise, which writes to an idle disk for minutes.
			mkfs: []string{"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"},
			// Exit codes: 1 repaired, 2 repaired and the system should restart if it was mounted, which it is not.
			fsck: []string{"e2fsck", "-p"}, force: []string{"e2fsck", "-f", "-p"}, good: []int{0, 1, 2},
			options: []string{"errors=remount-ro"},
		}, nil
	case "xfs":
		return &fileSystem{
			mkfs: []string{"mkfs.xfs", "-q", "-f", "-K"},
			// XFS replays its log at the mount; xfs_repair without -n refuses a dirty log, and a clean one needs nothing.
			fsck: []string{"xfs_repair", "-n"}, force: []string{"xfs_repair"}, good: []int{0},
		}, nil
	default:
		return nil, fmt.Errorf("file system type %q is not supported, only ext4 and xfs are", name)
	}
}

// finding is what a look at the beginning of a disk says.
type finding struct {
	blank bool
	// name of the file system; empty when it is none that we know.
	name string
	// damaged says that the file system itself says that it needs a check.
	damaged bool
}

// probe looks at the beginning of a disk. It is blank only if all of the area is zero.
func probe(head []byte) finding {
	const (
		extBase, extMagic, extState, extIncompat = 1024, 0x38, 0x3a, 0x60
		extHeader                                = extBase + 1024
		extValid, extErrors                      = 1, 2
		extNeedsRecovery                         = 4
	)
	switch {
	case len(bytes.TrimLeft(head, "\x00")) == 0:
		return finding{blank: true}
	case bytes.HasPrefix(head, []byte("XFSB")):
		return finding{name: "xfs"}
	case len(head) >= extHeader && binary.LittleEndian.Uint16(head[extBase+extMagic:]) == 0xef53:
		state := binary.LittleEndian.Uint16(head[extBase+extState:])
		recovery := binary.LittleEndian.Uint32(head[extBase+extIncompat:])&extNeedsRecovery != 0
		// A journal that wants to be replayed is no damage: the mount does it, as a check would.
		return finding{name: "ext4", damaged: state&extErrors != 0 || state&extValid == 0 && !recovery}
	default:
		return finding{}
	}
}

// look reads the beginning of the backing file. A file that is shorter than the area is read whole.
func look(file *os.File) (finding, error) {
	head := make([]byte, signatureArea)
	n, err := file.ReadAt(head, 0)
	if n == 0 && err != nil {
		return finding{}, fmt.Errorf("reading the beginning of %s: %w", file.Name(), err)
	}
	return probe(head[:n]), nil
}

// prepare sees to it that there is a sound file system on the disk: it formats a blank one if the spec gives a size, and checks one
// that needs it. What is anything else is left alone.
func prepare(ctx context.Context, p *v1alpha1.LoopbackDisk, found finding, device string, report func(string, ...any)) error {
	fs, err := fileSystemOf(p.FSType)
	if err != nil {
		return err
	}
	switch {
	case found.blank && p.Size == nil:
		return fmt.Errorf("disk %s is blank: set size to have it formatted with %s", p.File, p.FSType)
	case found.blank:
		report("formatting %s with %s", p.File, p.FSType)
		return run(ctx, []int{0}, fs.mkfs, device)
	case found.name == "":
		return fmt.Errorf("disk %s is neither blank nor a file system that is known: it is not touched", p.File)
	case found.name != p.FSType:
		return fmt.Errorf("disk %s has a file system of type %s, not %s: it is not touched", p.File, found.name, p.FSType)
	case p.Fsck == v1alpha1.FsckSkip:
		return nil
	case p.Fsck == v1alpha1.FsckForce:
		report("checking %s in full", p.File)
		return run(ctx, fs.good, fs.force, device)
	case found.damaged:
		report("checking %s", p.File)
		return run(ctx, fs.good, fs.fsck, device)
	}
	return nil
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
