// Package blockdev finds out what a block device is: a disk, a partition, a multipath map, a logical volume, and of which disks it is
// made. It reads the kernel's own tables (sysfs) and changes nothing, so it works on hosts without udev too.
package blockdev
