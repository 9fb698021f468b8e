// Package array is the lab's disk array: it serves the same backing files to several simulated hosts, one FUSE file system for each,
// and enforces SCSI-3 persistent reservations per host, as a real array does for each initiator.
//
// A host's cached writes cannot reach a backing file once another host has preempted it, or once its power was cut: a write takes the
// disk's lock, asks whether the host may write, and only then touches the file. With the build tag noenforce that question is always
// answered yes, which is how the tests show that they would notice.
//
// Hosts speak to the array through two extended attributes of a disk's file, see [AttrState] and [AttrCommand].
package array
