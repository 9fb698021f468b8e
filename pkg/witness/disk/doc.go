// Package disk is the witness on a shared disk with SCSI-3 persistent reservations, of type Write Exclusive - Registrants Only so that
// a host may use all its paths. Who holds it is the target's to say; what it keeps is written past every cache.
//
// A registered challenger may write too, under that type. So nobody writes where another's word is (R8h): each node has a slot for its
// records, and a copy of the state is written over the older of two copies, never over the newest. Load merges.
//
//	offset      size          what
//	0           4 KiB         header, with a copy at 60 KiB
//	256 KiB     64 x 4 KiB    marks: which 64 slots are in use
//	1 MiB       4096 x 8 KiB  record slots, by node id: two halves, written in turn
//	33 MiB      8 x 2 x 1540 KiB  states, by node id modulo 8: two copies, a header and up to 1.5 MiB
//
// Each block of 4 KiB is sealed: a magic, the witness's identity, a sequence, a JSON payload, a SHA-256 of it all. A torn write is a
// broken seal, and the other half or copy counts.
package disk
