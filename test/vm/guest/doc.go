// Package guest is for tests that run inside the emulated guest (make test-vm): it sets up, on the guest's own kernel, what the
// hosts of a cluster share. Several "hosts" are several initiators of one real target: each has a device of its own, and the target
// treats them as machines of their own. Everything is taken down at the end of the test that asked for it.
//
// A test of the guest is named TestGuest..., calls Require first, and is found by make test-vm because it imports this package.
package guest
