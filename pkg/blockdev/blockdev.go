package blockdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Kind is what a block device is.
type Kind string

// Kinds of devices. Those from SCSI to Multipath are disks that may have persistent reservations.
const (
	SCSI      Kind = "SCSI disk"
	NVMe      Kind = "NVMe namespace"
	Multipath Kind = "multipath device"
	Partition Kind = "partition"
	Volume    Kind = "logical volume"
	Mapped    Kind = "device-mapper device"
	RAID      Kind = "md array"
	Loop      Kind = "loop device"
	Other     Kind = "block device"
)

// Device is a block device of this host.
type Device struct {
	// Path is how it is opened, Name what the kernel calls it (sda1, dm-3).
	Path string
	Name string
	Kind Kind
	// Major and Minor are its number.
	Major, Minor uint32
	// UUID is the device mapper's name for what the device is, such as mpath-36001405...; empty for other devices.
	UUID string
}

// Reservable reports whether the device is of a kind that can have persistent reservations.
func (d Device) Reservable() bool { return d.Kind == SCSI || d.Kind == NVMe || d.Kind == Multipath }

// ErrMissing says that there is no such device on this host.
var ErrMissing = errors.New("there is no such device on this host")

// System is where devices are looked for.
type System struct {
	sys string
	dev string
	// number returns the device number behind a path; tests bring their own.
	number func(path string) (major, minor uint32, err error)
}

// Host is this host.
func Host() *System { return &System{sys: "/sys", dev: "/dev", number: numberOf} }

func numberOf(path string) (major, minor uint32, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, 0, fmt.Errorf("%s is no block device", path)
	}
	return unix.Major(st.Rdev), unix.Minor(st.Rdev), nil
}

// Find looks at the device behind a path. A name of /dev/disk/by-id that udev has not made is looked for by what it says.
func (s *System) Find(path string) (Device, error) {
	major, minor, err := s.number(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.byID(path)
	}
	if err != nil {
		return Device{}, err
	}
	return s.byNumber(path, major, minor)
}

func (s *System) byNumber(path string, major, minor uint32) (Device, error) {
	link, err := os.Readlink(filepath.Join(s.sys, "dev/block", fmt.Sprintf("%d:%d", major, minor)))
	if err != nil {
		return Device{}, fmt.Errorf("%w: the kernel knows no device %d:%d behind %s", ErrMissing, major, minor, path)
	}
	return s.named(path, filepath.Base(link))
}

// named describes the device by the kernel's name.
func (s *System) named(path, name string) (Device, error) {
	dir, err := s.dir(name)
	if err != nil {
		return Device{}, err
	}
	d := Device{Path: path, Name: name}
	if path == "" {
		d.Path = filepath.Join(s.dev, strings.ReplaceAll(name, "!", "/"))
	}
	if _, err := fmt.Sscanf(read(dir, "dev"), "%d:%d", &d.Major, &d.Minor); err != nil {
		return Device{}, fmt.Errorf("reading the number of %s: %w", name, err)
	}
	d.UUID = read(dir, "dm/uuid")
	d.Kind = kindOf(name, dir, d.UUID)
	return d, nil
}

func (s *System) dir(name string) (string, error) {
	for _, class := range []string{"class/block", "block"} {
		dir, err := filepath.EvalSymlinks(filepath.Join(s.sys, class, name))
		if err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%w: %s", ErrMissing, name)
}

func kindOf(name, dir, uuid string) Kind {
	has := func(file string) bool {
		_, err := os.Stat(filepath.Join(dir, file))
		return err == nil
	}
	switch {
	case has("partition"), strings.HasPrefix(uuid, "part"):
		return Partition
	case strings.HasPrefix(uuid, "mpath-"):
		return Multipath
	case strings.HasPrefix(uuid, "LVM-"):
		return Volume
	case has("dm"):
		return Mapped
	case has("md"):
		return RAID
	case has("loop"), strings.HasPrefix(name, "loop"):
		return Loop
	case strings.HasPrefix(name, "nvme"):
		return NVMe
	case subsystem(dir) == "scsi":
		return SCSI
	default:
		return Other
	}
}

func subsystem(dir string) string {
	link, err := os.Readlink(filepath.Join(dir, "device/subsystem"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}

// read returns a small file of sysfs without its line end, and nothing if there is none.
func read(dir, file string) string {
	raw, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// maxDepth bounds how many layers of devices lie on each other.
const maxDepth = 8

// Disks returns the disks that the device is made of, each once, sorted by name. Everything below the device must be a disk with
// reservations; else the error says what is in the way.
func (s *System) Disks(d Device) ([]Device, error) {
	found := map[string]Device{}
	if err := s.disks(d, found, maxDepth); err != nil {
		return nil, err
	}
	list := make([]Device, 0, len(found))
	for _, disk := range found {
		list = append(list, disk)
	}
	slices.SortFunc(list, func(a, b Device) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (s *System) disks(d Device, found map[string]Device, depth int) error {
	if depth == 0 {
		return fmt.Errorf("%s lies on too many layers of devices", d.Path)
	}
	if d.Reservable() {
		if over, err := s.multipathOver(d); err != nil || over != "" {
			return errors.Join(err, fmt.Errorf("%s is a path of the multipath device %s: name that", d.Path, over))
		}
		found[d.Name] = d
		return nil
	}
	switch d.Kind {
	case Partition, Volume:
	case RAID:
		return fmt.Errorf("%s is an md array, which cannot be shared between hosts: use the array's own redundancy or LVM on single disks", d.Path)
	case Loop:
		return fmt.Errorf("%s is a loop device: use the resource type LoopbackDisk for a file", d.Path)
	case SCSI, NVMe, Multipath, Mapped, Other:
		return fmt.Errorf("%s is a %s, which has no persistent reservations", d.Path, d.Kind)
	}
	below, err := s.Below(d)
	if err != nil {
		return err
	}
	for _, b := range below {
		if err := s.disks(b, found, depth-1); err != nil {
			return fmt.Errorf("below %s: %w", d.Path, err)
		}
	}
	return nil
}

// Below returns the devices right below this one: the disk of a partition, the parts of a volume, the paths of a multipath device.
func (s *System) Below(d Device) ([]Device, error) {
	dir, err := s.dir(d.Name)
	if err != nil {
		return nil, err
	}
	if d.Kind == Partition && d.UUID == "" {
		disk, err := s.named("", filepath.Base(filepath.Dir(dir)))
		return []Device{disk}, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil {
		return nil, fmt.Errorf("looking below %s: %w", d.Path, err)
	}
	list := make([]Device, 0, len(entries))
	for _, e := range entries {
		b, err := s.named("", e.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s is a %s without a device below it", d.Path, d.Kind)
	}
	return list, nil
}

// multipathOver returns the path of the multipath device that uses this disk as one of its paths.
func (s *System) multipathOver(d Device) (string, error) {
	dir, err := s.dir(d.Name)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "holders"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking at what uses %s: %w", d.Path, err)
	}
	for _, e := range entries {
		over, err := s.named("", e.Name())
		if err != nil {
			return "", err
		}
		if over.Kind == Multipath {
			return s.MapName(over)
		}
	}
	return "", nil
}

// Claimable are the devices that have to be opened for oneself so that nothing of this host uses d: the device itself, but of a
// multipath device with partitions these, since they have it open all the time.
func (s *System) Claimable(d Device) ([]Device, error) {
	if d.Kind != Multipath {
		return []Device{d}, nil
	}
	dir, err := s.dir(d.Name)
	if err != nil {
		return nil, err
	}
	holders, err := os.ReadDir(filepath.Join(dir, "holders"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking at what uses %s: %w", d.Path, err)
	}
	var partitions []Device
	for _, h := range holders {
		over, err := s.named("", h.Name())
		if err != nil {
			return nil, err
		}
		if over.Kind == Partition {
			partitions = append(partitions, over)
		}
	}
	if len(partitions) == 0 {
		return []Device{d}, nil
	}
	return partitions, nil
}

// MapName returns the path of a device-mapper device under the name that administrators gave it.
func (s *System) MapName(d Device) (string, error) {
	dir, err := s.dir(d.Name)
	if err != nil {
		return "", err
	}
	name := read(dir, "dm/name")
	if name == "" {
		return d.Path, nil
	}
	return filepath.Join(s.dev, "mapper", name), nil
}

// Running reports whether the kernel has a SCSI disk online; a disk of another kind counts as online.
func (s *System) Running(d Device) bool {
	dir, err := s.dir(d.Name)
	if err != nil {
		return false
	}
	state := read(dir, "device/state")
	return state == "" || state == "running" || state == "live"
}

// WWID is the name of the disk that is unique in the world, as the kernel remembers it; empty if it knows none.
func (s *System) WWID(d Device) string {
	dir, err := s.dir(d.Name)
	if err != nil {
		return ""
	}
	if d.Kind == Multipath {
		return strings.TrimPrefix(d.UUID, "mpath-")
	}
	if wwid := read(dir, "wwid"); wwid != "" {
		return wwid
	}
	return read(dir, "device/wwid")
}
