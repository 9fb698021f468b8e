// Package scsi speaks the few SCSI commands that a reservation needs: PERSISTENT RESERVE IN and OUT, LOGICAL UNIT RESET and INQUIRY of
// the device identification (SPC-4). Building commands and reading replies is pure; a Transport carries them, the real one through
// the kernel's SG_IO.
package scsi
