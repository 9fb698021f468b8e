package fileshare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/swap"
)

// Options of a file-share witness.
type Options struct {
	// Path of the directory on this host.
	Path string
	// Cluster is the cluster's id.
	Cluster uint64
	// AnyFileSystem accepts a directory of a file system that is not known to be shared among hosts, for tests and simulated hosts.
	AnyFileSystem bool
}

// shared are the file systems that several hosts mount, by their magic numbers of statfs(2).
var shared = map[int64]string{
	unix.NFS_SUPER_MAGIC:   "nfs",
	unix.CIFS_SUPER_MAGIC:  "cifs",
	unix.SMB2_SUPER_MAGIC:  "smb3",
	unix.CEPH_SUPER_MAGIC:  "ceph",
	unix.FUSE_SUPER_MAGIC:  "fuse",
	unix.OCFS2_SUPER_MAGIC: "ocfs2",
	unix.AFS_FS_MAGIC:      "afs",
	unix.V9FS_MAGIC:        "9p",
	0x01161970:             "gfs2",
	0x0bd00bd0:             "lustre",
	0x47504653:             "gpfs",
}

// Open returns the witness in a directory. ErrAbsent if there is none, ErrNotShared if it is on a file system of this host alone:
// most often, one that is not mounted.
func Open(_ context.Context, o Options) (witness.Device, error) {
	return open(mounted{path: o.Path}, o)
}

func open(dir directory, o Options) (witness.Device, error) {
	s := &store{dir: dir, path: o.Path}
	kind, err := dir.kind()
	if err != nil {
		return nil, s.translate("opening", err)
	}
	if shared[kind] == "" && !o.AnyFileSystem {
		return nil, fmt.Errorf("%w: %s is on a file system of type %#x: is the share mounted there?", witness.ErrNotShared, o.Path, kind)
	}
	return swap.New(s, o.Cluster), nil
}

// gone says that a name is not there, or was removed while it was opened.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESTALE) }

// translate gives an error of the file system its name in pkg/witness, and says what to do about those that do not pass by themselves.
func (s *store) translate(doing string, err error) error {
	kind, hint := witness.ErrUnreachable, ""
	switch {
	case errors.Is(err, unix.ENOTDIR):
		kind, hint = witness.ErrAbsent, ": it must be a directory"
	case errors.Is(err, fs.ErrNotExist):
		kind, hint = witness.ErrAbsent, ": make the directory, or mount the share"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		kind, hint = witness.ErrRefused, ": root of this host must be able to write there (no_root_squash, or a directory that the squashed user owns)"
	case errors.Is(err, unix.EROFS):
		kind, hint = witness.ErrRefused, ": export and mount it for writing"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		kind, hint = witness.ErrRefused, ": make room on the share"
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EMLINK):
		kind, hint = witness.ErrRefused, ": the share must support hard links"
	}
	return fmt.Errorf("%w: %s %s: %w%s", kind, doing, s.path, err, hint)
}
