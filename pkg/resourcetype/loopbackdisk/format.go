package loopbackdisk

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// formatting says that this node has begun to format a disk that was blank, and has not mounted it since: what an agent that is killed
// in the middle of it leaves half made may be formatted again, as long as nobody else can have put anything there.
type formatting struct {
	// File is the backing file itself, not its name.
	File backing `json:"file"`
	// Group and Epoch for which it began.
	Group string      `json:"group"`
	Epoch model.Epoch `json:"epoch"`
	// UUID that the file system gets: one that carries another was made by somebody else.
	UUID string `json:"uuid"`
}

// backing tells one file from another that has taken its name, or its inode, since. Born is when it was made, in nanoseconds since
// 1970; 0 on a file system that does not tell.
type backing struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Born   int64  `json:"born,omitempty"`
}

func identify(file *os.File) (backing, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return backing{}, fmt.Errorf("looking at the backing file %s: %w", file.Name(), err)
	}
	b := backing{Device: unix.Mkdev(st.Dev_major, st.Dev_minor), Inode: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		b.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return b, nil
}

// keptFor reports whether nobody else can have had the disk since the record was written: the highest epoch on it is the one for which
// this node had reserved it last, or the present one, and an epoch has one owner only (O6).
func (r record) keptFor(now, found model.Epoch) bool {
	return found > 0 && (found == r.Epoch || found == now)
}

// covers reports whether what was found on the disk can only be what this node's own formatting has left.
func (f *formatting) covers(inst *resourcetype.Instance, file backing, found filesystem.Finding) bool {
	if f == nil || f.UUID == "" || f.File != file || f.Group != inst.Group.UID || inst.Epoch < f.Epoch {
		return false
	}
	// What has no name is neither blank nor anything that has a mark of its own.
	return found.Blank || found.Name == "" || found.UUID == strings.ReplaceAll(f.UUID, "-", "")
}

// prepare sees to it that there is a sound file system on the disk: it formats a blank one if the spec gives a size, goes on where an
// earlier agent died in that, and checks one that needs it. What is anything else is left alone.
func (r *record) prepare(
	ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk, found filesystem.Finding, file *os.File, device string,
) error {
	fs, err := filesystem.Of(p.FSType)
	if err != nil {
		return err
	}
	id, err := identify(file)
	if err != nil {
		return err
	}
	begun := r.Formatting.covers(inst, id, found)
	switch {
	case (found.Blank || begun) && p.Size == nil:
		return fmt.Errorf("disk %s is blank: set size to have it formatted with %s", p.File, p.FSType)
	case found.Blank || begun:
		return r.format(ctx, inst, p, fs, file, id, device)
	case found.Name == "":
		return fmt.Errorf("disk %s is neither blank nor a file system that is known: it is not touched. If nothing on it is needed, delete "+
			"the file or make it blank (truncate -s 0, then -s with its size); a formatting that another host did not finish leaves this too", p.File)
	case found.Name != p.FSType:
		return fmt.Errorf("disk %s has a file system of type %s, not %s: it is not touched", p.File, found.Name, p.FSType)
	}
	if r.Formatting != nil {
		// Somebody has made a file system since: there is nothing left to go on with.
		r.Formatting = nil
		if err := inst.Save(*r); err != nil {
			return err
		}
	}
	return fs.Check(ctx, filesystem.Checking{
		Policy: p.Fsck, Found: found, Device: device, Name: p.File, MountPath: p.MountPath, Options: p.Options, Report: inst.Report,
	})
}

// format makes the file system. The record says so before the first write, and no more when all is there.
func (r *record) format(
	ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk, fs *filesystem.Type, file *os.File, id backing, device string,
) error {
	st, err := file.Stat()
	if err != nil {
		return fmt.Errorf("looking at the size of %s: %w", p.File, err)
	}
	name, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("making a UUID for the file system: %w", err)
	}
	if r.Formatting != nil && r.Formatting.File == id {
		// Half of the earlier one may still be there, under its name.
		if name, err = uuid.Parse(r.Formatting.UUID); err != nil {
			return fmt.Errorf("the record of the formatting of %s: %w", p.File, err)
		}
		inst.Report("formatting %s again with %s: the first time was cut short", p.File, p.FSType)
	} else {
		inst.Report("formatting %s with %s", p.File, p.FSType)
	}
	r.Formatting = &formatting{File: id, Group: inst.Group.UID, Epoch: inst.Epoch, UUID: name.String()}
	if err := inst.Save(*r); err != nil {
		return err
	}
	if err := fs.Format(ctx, device, st.Size(), name.String(), inst.Report); err != nil {
		return err
	}
	r.Formatting = nil
	return inst.Save(*r)
}
