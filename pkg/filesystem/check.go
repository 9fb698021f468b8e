package filesystem

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
)

// checker is a program that looks for damage. Its verdict on an exit status is nil when the file system may be mounted; said is what
// it printed, name what an operator would call the disk.
type checker struct {
	command []string
	verdict func(code int, said, name string) error
}

// Checking is what a check needs to know.
type Checking struct {
	Policy v1alpha1.FsckPolicy
	Found  Finding
	// Device is what is checked; Name is how an operator names it, which may be another way to it.
	Device, Name string
	// MountPath and Options of the mount that is to come: a log that has to be replayed first is replayed there.
	MountPath string
	Options   []string
	// Report tells progress; it is called as long as the program reads or writes.
	Report func(format string, args ...any)
}

// Check checks the file system as the policy says, before it is mounted. Auto follows the file system's own word: ext4 is repaired as
// far as that is safe, XFS needs nothing. Force looks at all of it; damage that XFS has is told and never repaired.
func (t *Type) Check(ctx context.Context, c Checking) error {
	with := t.preen
	switch {
	case c.Policy == v1alpha1.FsckSkip:
		return nil
	case c.Policy == v1alpha1.FsckForce:
		c.Report("checking %s in full", c.Name)
		if with = t.full; t.replay {
			if err := t.replayLog(ctx, c); err != nil {
				return err
			}
		}
	case with != nil && (c.Found.Damaged || c.Found.Due):
		c.Report("checking %s", c.Name)
	default:
		return nil
	}
	code, said, err := run(ctx, with.command, c.Device, c.Report)
	if err == nil {
		err = with.verdict(code, said, c.Name)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", strings.Join(with.command, " "), c.Device, err)
	}
	return nil
}

// replayLog mounts a file system once, so that its log is replayed.
func (t *Type) replayLog(ctx context.Context, c Checking) error {
	if err := mountPoint(c.MountPath); err != nil {
		return err
	}
	_, data := mountOptions(t.options, c.Options)
	if err := unix.Mount(c.Device, c.MountPath, t.name, unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, data); err != nil {
		return fmt.Errorf("replaying the log of %s by a mount on %s: %w%s", c.Name, c.MountPath, err, t.advice(c.Device, c.Name, err))
	}
	return Unmount(ctx, c.MountPath)
}

// byHand is what an operator does who repairs something: only the host that holds the disk may write to it.
const byHand = "set the resource's desiredState to Offline and, on the node that was to have it, run %s; then set it Online again"

// e2fsckVerdict goes by the exit status of e2fsck(8), which is a sum: 1 repaired, 2 repaired and a mounted file system must be mounted
// anew, which this one is not, 4 errors are left, 8 could not work, 16 wrong usage, 32 cancelled, 128 a library is missing.
func e2fsckVerdict(code int, said, name string) error {
	const repaired, left, failed = 1 | 2, 4, 8
	switch {
	case code&^repaired == 0:
		return nil
	case code&left != 0:
		return fmt.Errorf("the file system has errors that are not safe to repair without somebody who looks (exit status %d: %s). To repair it, "+
			byHand+", or restore it from a backup", code, finding(said), "e2fsck -f "+name)
	case code&failed != 0:
		return fmt.Errorf("it could not work (exit status %d: %s): the disk may not answer, or its superblock is damaged; look at the kernel's "+
			"log, and at e2fsck -n %s", code, finding(said), name)
	}
	return fmt.Errorf("exit status %d: %s", code, finding(said))
}

// xfsRepairVerdict goes by the exit status of xfs_repair(8) with -n: 1 when it has found damage.
func xfsRepairVerdict(code int, said, name string) error {
	switch code {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("the file system is damaged (%s), and XFS is never repaired by itself. To repair it, "+byHand+
			", or restore it from a backup; fsck: Auto mounts it as it is", xfsFinding(said), "xfs_repair "+name)
	}
	return fmt.Errorf("exit status %d: %s", code, lastLine(said))
}

// finding is the last thing that e2fsck has said, but for its advice to run it by hand.
func finding(said string) string {
	var last string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "RUN fsck MANUALLY") && !strings.HasPrefix(line, "(i.e.") {
			last = line
		}
	}
	return last
}

// xfsFinding is the first damage that xfs_repair -n has told of; its phases begin with words of their own, or with a dash.
func xfsFinding(said string) string {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "Phase "), strings.HasPrefix(line, "- "), strings.HasPrefix(line, "No modify flag"):
		default:
			return line
		}
	}
	return lastLine(said)
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
