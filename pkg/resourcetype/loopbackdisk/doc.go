// Package loopbackdisk mounts a shared file as a disk. The right to it is a persistent reservation of the file, which its file
// server enforces or which is advisory. The backing file stays locked (flock, seen on this host only) as long as a loop device of
// this host uses it, which is how an agent that has just started learns that a disk is not idle yet (rule O17).
package loopbackdisk
