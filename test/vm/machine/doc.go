// Package machine runs programs in the emulated guest that hack/vm.sh builds: a Linux with the disks, targets and watchdogs that the
// kernel of the host may lack. It starts qemu without hardware help, hands the program over on a disk, streams its output, brings
// its exit code back, and tells a reset, a panic and a hang apart. Nothing of it is timed: an emulated machine is slow and uneven.
package machine
