package pacemaker

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
)

const maxPath = 256

// lvmName is what LVM and the API allow.
var lvmName = regexp.MustCompile(`^[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,126}$`)

// filesystem is a mount from a shared disk, or something that only its own agent can mount.
func (im *importer) filesystem(u *unit, p *primitive, r *v1alpha1.Resource) bool {
	device, fsType := strings.TrimSpace(p.params.value("device")), p.params.value("fstype")
	switch {
	case fromServer(device, fsType):
		im.report.add(Changed, p.at, "", "%s mounts from a server: no disk is reserved, it became a resource of type OCF", p.id)
		return im.ocf(p, r)
	case strings.HasPrefix(device, "/dev/drbd"):
		im.report.add(NotImported, p.at, "use a shared disk, or keep DRBD with its own promotion outside of Quorate", "%s is on a DRBD device: replicated disks have no equivalent", p.id)
		return false
	case fsType == "gfs2", fsType == "ocfs2", u.clone:
		im.report.add(NotImported, p.at, "use one disk for each group, or a file server", "%s mounts a disk on several nodes at once: a PhysicalDisk has one owner", p.id)
		return false
	}
	mount, ok := absolute(p.params.value("directory"))
	if !ok {
		im.report.add(NotImported, p.at, "mend it and import again", "%s has no directory that can be mounted on: %q", p.id, bounded(p.params.value("directory"), 80))
		return false
	}
	disk := &v1alpha1.PhysicalDisk{MountPath: mount, FSType: fsType}
	if !im.diskDevice(u, p, device, disk) {
		return false
	}
	im.fsType(p, disk)
	for o := range strings.SplitSeq(p.params.value("options"), ",") {
		if o = strings.TrimSpace(o); o != "" && len(o) <= 128 && len(disk.Options) < 32 {
			disk.Options = append(disk.Options, o)
		}
	}
	switch p.params.value("run_fsck") {
	case "force":
		disk.Fsck = v1alpha1.FsckForce
	case "no":
		disk.Fsck = v1alpha1.FsckSkip
	}
	r.Spec.Type, r.Spec.PhysicalDisk = v1alpha1.TypePhysicalDisk, disk
	return true
}

// fromServer says that a mount is from a file server, not from a disk.
func fromServer(device, fsType string) bool {
	return strings.HasPrefix(fsType, "nfs") || fsType == "cifs" || fsType == "glusterfs" || strings.Contains(device, ":/") || strings.HasPrefix(device, "//")
}

// fsType sees to a file system that can be mounted, or at least be written down.
func (im *importer) fsType(p *primitive, disk *v1alpha1.PhysicalDisk) {
	fsType := disk.FSType
	if fsType == "" || fsType == "auto" || strings.Trim(fsType, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || len(fsType) > 16 {
		disk.FSType = "ext4"
		im.report.add(Todo, p.at, "set fsType to xfs or ext4", "%s does not say which file system it has (%q)", p.id, bounded(fsType, 40))
	} else if fsType != "xfs" && fsType != "ext4" {
		im.report.add(Todo, p.params.at("fstype", p.at), "use xfs or ext4", "%s has a file system of type %s, which PhysicalDisk does not mount", p.id, fsType)
	}
}

// absolute cleans an absolute path, and refuses what is none.
func absolute(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "/") {
		return "", false
	}
	s = path.Clean(s)
	return s, s != "/" && !strings.HasPrefix(s, "//") && len(s) <= maxPath && !strings.Contains(s, "\n")
}

// diskDevice finds the name of the disk. A logical volume names the volume group: which disks that is on, a CIB does not say.
func (im *importer) diskDevice(u *unit, p *primitive, device string, disk *v1alpha1.PhysicalDisk) bool {
	for prefix, directory := range map[string]string{"-U": "by-uuid", "UUID=": "by-uuid", "-L": "by-label", "LABEL=": "by-label"} {
		if rest, ok := strings.CutPrefix(device, prefix); ok {
			device = "/dev/disk/" + directory + "/" + strings.Trim(strings.TrimSpace(rest), `"`)
			im.report.add(Todo, p.params.at("device", p.at), "use the disk's name in /dev/disk/by-id (wwn-..., scsi-...)", "the disk of %s is named by its file system: Quorate checks that a disk is the one that is meant", p.id)
		}
	}
	clean, ok := absolute(device)
	if !ok {
		im.report.add(NotImported, p.params.at("device", p.at), "mend it and import again", "%s has no device that can be reserved: %q", p.id, bounded(device, 80))
		return false
	}
	disk.Device = clean
	for _, other := range u.primitives() {
		vg := volumeGroupOf(other)
		lv, ok := logicalVolume(clean, vg)
		if vg == "" || !ok || !lvmName.MatchString(vg) || !lvmName.MatchString(lv) {
			continue
		}
		disk.Device, disk.LVM = placeholderDevice(vg), &v1alpha1.LVM{VolumeGroup: vg, LogicalVolume: lv}
		im.report.add(Todo, p.params.at("device", p.at), "set device to a physical volume of "+vg+" (pvs), by its name in /dev/disk/by-id",
			"%s is the logical volume %s of %s: the CIB does not say on which disks that is; the manifest has %s, which is nothing", p.id, lv, vg, disk.Device)
		return true
	}
	if !strings.HasPrefix(clean, "/dev/disk/") && !strings.HasPrefix(clean, "/dev/mapper/") {
		im.report.add(Todo, p.params.at("device", p.at), "use the disk's name in /dev/disk/by-id (wwn-..., scsi-...), which is the same on all hosts",
			"%s uses %s, a name that may be another disk on another host or tomorrow", p.id, clean)
	}
	return true
}

func placeholderDevice(vg string) string { return "/dev/disk/by-id/physical-volume-of-" + vg }

// volumeGroupOf is the volume group that a primitive activates; empty for others.
func volumeGroupOf(p *primitive) string {
	switch p.spec() {
	case "ocf:heartbeat:LVM-activate":
		return p.params.value("vgname")
	case "ocf:heartbeat:LVM":
		return p.params.value("volgrpname")
	}
	return ""
}

// logicalVolume says which volume of the group a device is: /dev/GROUP/VOLUME, or /dev/mapper/GROUP-VOLUME with each - doubled.
func logicalVolume(device, vg string) (string, bool) {
	if lv, ok := strings.CutPrefix(device, "/dev/"+vg+"/"); ok {
		return lv, true
	}
	double := func(s string) string { return strings.ReplaceAll(s, "-", "--") }
	if lv, ok := strings.CutPrefix(device, "/dev/mapper/"+double(vg)+"-"); ok {
		return strings.ReplaceAll(lv, "--", "-"), true
	}
	return "", false
}

// volumeGroup is part of the disk that is mounted from it; alone, it is a raw volume.
func (im *importer) volumeGroup(u *unit, p *primitive, r *v1alpha1.Resource) bool {
	vg, lv := volumeGroupOf(p), p.params.value("lvname")
	for _, other := range u.primitives() {
		if other.spec() == "ocf:heartbeat:Filesystem" {
			if _, ok := logicalVolume(strings.TrimSpace(other.params.value("device")), vg); ok {
				im.report.add(Note, p.at, "", "%s became part of the PhysicalDisk %s: a disk activates its volume group itself", p.id, other.id)
				return false
			}
		}
	}
	if !lvmName.MatchString(vg) || !lvmName.MatchString(lv) {
		im.report.add(NotImported, p.at, "name the logical volume that is used: each is a PhysicalDisk", "%s activates the whole volume group %q", p.id, bounded(vg, 80))
		return false
	}
	im.report.add(Todo, p.at, "set device to a physical volume of "+vg+" (pvs), by its name in /dev/disk/by-id", "the CIB does not say on which disks volume group %s is", vg)
	r.Spec.Type = v1alpha1.TypePhysicalDisk
	r.Spec.PhysicalDisk = &v1alpha1.PhysicalDisk{Device: placeholderDevice(vg), LVM: &v1alpha1.LVM{VolumeGroup: vg, LogicalVolume: lv}}
	return true
}

// allow writes into the Cluster what the imported resources need: nothing else may run on the hosts.
func (im *importer) allow() {
	const disksInEntry = 32 // as many mountRoots as an entry may have
	var types []string
	var disks []*v1alpha1.PhysicalDisk
	for _, r := range im.result.Resources {
		if !slices.Contains(types, string(r.Spec.Type)) {
			types = append(types, string(r.Spec.Type))
		}
		if d := r.Spec.PhysicalDisk; d != nil {
			disks = append(disks, d)
		}
	}
	slices.Sort(types)
	spec := &im.result.Cluster.Spec
	for i := 0; len(types) > 0 && (i == 0 || i*disksInEntry < len(disks)) && i < 64; i++ {
		entry := v1alpha1.AllowedResourceTypes{Name: "imported", Namespaces: []string{im.opts.Namespace}, Types: types}
		if i > 0 {
			entry.Name, entry.Types = "imported-"+itoa(i+1), []string{string(v1alpha1.TypePhysicalDisk)}
		}
		for _, d := range disks[min(len(disks), i*disksInEntry):min(len(disks), (i+1)*disksInEntry)] {
			allowDisk(&entry, d)
		}
		spec.AllowedResourceTypes = append(spec.AllowedResourceTypes, entry)
	}
	im.writeNetworks(spec)
}

func allowDisk(entry *v1alpha1.AllowedResourceTypes, d *v1alpha1.PhysicalDisk) {
	if pattern := escape(d.Device); !slices.Contains(entry.Devices, pattern) && len(pattern) <= maxPath {
		entry.Devices = append(entry.Devices, pattern)
	}
	if root := path.Dir(d.MountPath); d.MountPath != "" && root != "/" && !slices.Contains(entry.MountRoots, root) {
		entry.MountRoots = append(entry.MountRoots, root)
	}
}

// writeNetworks writes the networks as they have become by now: addresses of groups have had their say in them.
func (im *importer) writeNetworks(spec *v1alpha1.ClusterSpec) {
	if !slices.ContainsFunc(im.networks, func(n *network) bool { return n.role.CarriesHeartbeats() }) { // a Cluster has one at least
		if len(im.networks) == maxNetworks {
			im.networks[0].role = v1alpha1.NetworkInternalAndClient
		} else {
			im.onNetwork("lan", placeholders, true)
		}
	}
	for _, n := range im.networks {
		network := v1alpha1.ClusterNetwork{Name: n.name, Role: n.role}
		for _, p := range n.cidrs {
			network.CIDRs = append(network.CIDRs, p.String())
		}
		spec.Networks = append(spec.Networks, network)
	}
}

// escape makes a pattern of path.Match that matches the text alone.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
