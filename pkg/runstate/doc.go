// Package runstate keeps on the host what runs there: records of groups and resources, and the lease, in the run directory
// (/run/quorate, gone after a reboot), and the highest epoch seen of each group in the state directory. It is written before each
// act, so that after a crash the next agent finds all that may exist, and so that the guardian can stop everything from the
// records alone (rules O8, O11). Torn or garbled files are reported and never fatal.
package runstate
