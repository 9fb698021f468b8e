// Package disks holds the tests of reservations and of the resource type PhysicalDisk on a real SCSI target, in the emulated guest:
// several initiators of one disk are several hosts. What they say is checked by sg_persist, which shares no code with the project.
package disks
