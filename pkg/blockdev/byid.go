package blockdev

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// byIDDir is where udev makes names that are the same on all hosts.
const byIDDir = "/dev/disk/by-id/"

// ID is what a name of /dev/disk/by-id says.
type ID struct {
	// WWID of the disk in the kernel's notation, in lower case; empty if the name says none that is known here.
	WWID string
	// Partition number, 0 for the whole disk.
	Partition int
}

// ParseID reads a path such as /dev/disk/by-id/wwn-0x6001405...-part1. The zero ID means that the name says no WWID.
func ParseID(path string) ID {
	name, ok := strings.CutPrefix(path, byIDDir)
	if !ok {
		return ID{}
	}
	var id ID
	if at := strings.LastIndex(name, "-part"); at > 0 {
		n, err := strconv.ParseUint(name[at+len("-part"):], 10, 16)
		if err == nil && n > 0 {
			name, id.Partition = name[:at], int(n)
		}
	}
	name = strings.ToLower(name)
	for _, known := range []struct{ prefix, wwid string }{
		{"wwn-0x", "naa."}, {"scsi-3", "naa."}, {"dm-uuid-mpath-3", "naa."}, {"wwn-eui.", "eui."}, {"scsi-2", "eui."}, {"nvme-eui.", "eui."}, {"nvme-uuid.", "uuid."},
	} {
		rest, found := strings.CutPrefix(name, known.prefix)
		if found && rest != "" && strings.Trim(rest, "0123456789abcdef-") == "" {
			id.WWID = known.wwid + rest
			return id
		}
	}
	return ID{}
}

// byID looks for the device that a name of /dev/disk/by-id means where udev has not made it.
func (s *System) byID(path string) (Device, error) {
	missing := fmt.Errorf("%w: %s", ErrMissing, path)
	id := ParseID(path)
	if id.WWID == "" {
		return Device{}, missing
	}
	entries, err := os.ReadDir(filepath.Join(s.sys, "block"))
	if err != nil {
		return Device{}, fmt.Errorf("listing block devices: %w", err)
	}
	var found *Device
	for _, e := range entries {
		d, err := s.named("", e.Name())
		if err != nil || !d.Reservable() || !Same(s.WWID(d), id.WWID) {
			continue
		}
		// Of a disk with several paths the map is meant.
		if found == nil || d.Kind == Multipath {
			found = &d
		}
	}
	if found == nil {
		return Device{}, missing
	}
	if id.Partition == 0 {
		return *found, nil
	}
	return s.partition(*found, id.Partition, missing)
}

func (s *System) partition(disk Device, number int, missing error) (Device, error) {
	dir, err := s.dir(disk.Name)
	if err != nil {
		return Device{}, err
	}
	children, err := filepath.Glob(filepath.Join(dir, disk.Name+"*"))
	if err != nil {
		return Device{}, err
	}
	for _, child := range children {
		if read(child, "partition") == strconv.Itoa(number) {
			return s.named("", filepath.Base(child))
		}
	}
	// Partitions of a multipath device are maps of their own.
	holders, err := os.ReadDir(filepath.Join(dir, "holders"))
	if err != nil {
		return Device{}, missing
	}
	for _, h := range holders {
		d, err := s.named("", h.Name())
		if err == nil && strings.HasPrefix(d.UUID, fmt.Sprintf("part%d-", number)) {
			return d, nil
		}
	}
	return Device{}, missing
}

// Same reports whether two names of a disk mean the same one: multipath's own begin with the designator's number (3 for NAA).
func Same(a, b string) bool {
	plain := func(w string) string {
		w = strings.ToLower(w)
		for _, prefix := range []string{"naa.", "eui.", "uuid."} {
			if rest, found := strings.CutPrefix(w, prefix); found {
				return rest
			}
		}
		if len(w) > 16 && (w[0] == '3' || w[0] == '2') && len(w)%2 == 1 {
			return w[1:]
		}
		return w
	}
	return a != "" && plain(a) == plain(b)
}
