// Package reservations holds the tests of pkg/reservation on a real SCSI target, in the emulated guest: every command in every
// state, the protocol of taking a disk over, and who can write afterwards. What is on the disk is told by sg_persist, which shares
// no code with us, and by the disk's own storage.
package reservations
