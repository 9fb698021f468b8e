// Package holding is what the disk types share: the disks that this process has reserved, and for which epoch. Several resources of a
// group may use parts of one disk, and then hold it together, by the same key.
package holding
