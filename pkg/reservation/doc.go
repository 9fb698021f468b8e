// Package reservation holds a disk for one node by a persistent reservation of type Write Exclusive - Registrants Only, whose key
// carries the cluster, the node and the group's epoch. Acquire, Verify, Advance and Depart are the protocol (rules O15 to O21); they
// speak to a Device and know nothing of how its commands travel. The devices here are emulated ones, for shared files: one whose
// file server enforces the reservation, reached through extended attributes, and an advisory one, a sidecar file under a lock.
// Array is the target's side, with the semantics of SPC-4, for the sidecar, for emulated storage and for tests.
package reservation
