// Package physicaldisk mounts a shared disk, a partition of one or a logical volume on some. The right to it is the persistent
// reservation of every whole disk below it (rules O12 to O21). It never makes a file system, never repairs what the file system does
// not ask for unless it is told to, and keeps to the disk that it has once used: by the disk's own name and the file system's.
//
// A file system that has become read-only or is shut down has failed; one that is full is told of in the log and serves on, since it
// would be full on any other host as well.
package physicaldisk
