// Package reservation holds a disk for one node by a persistent reservation of type Write Exclusive - Registrants Only, whose key
// carries the cluster, the node and the group's epoch. Acquire, Verify, Advance and Depart are the protocol (rules O15 to O21); they
// speak to a Device and know nothing of how its commands travel. OpenDisk returns the real devices: SCSI disks, NVMe namespaces, and
// multipath devices, whose paths are spoken to one by one (O16, O18). OpenFile returns emulated ones, for shared files: one whose file
// server enforces the reservation, reached through extended attributes, and an advisory one, a sidecar file under a lock.
// Array is the target's side, with the semantics of SPC-4, for the sidecar, for emulated storage and for tests.
package reservation
