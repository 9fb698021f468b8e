// Package filesystem is what disks of every kind share: looking at what is on a device, checking and making file systems, mounting
// them, telling whether a mounted one still takes writes, and taking it away by force (rule O17).
package filesystem
