// Package nvme speaks the reservation commands of NVMe (base specification, Reservations) and reads their replies, which is pure; a
// Transport carries them, the real one through the kernel's passthrough. The block layer's own ioctls (linux/pr.h) lead to the same
// commands, but they cannot read who is registered, cannot unregister (they replace a key by zero) and do not ask the namespace to
// remember through a power loss.
package nvme
