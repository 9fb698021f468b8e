// Package nodeagent is the agent of one host: it wires the membership machine, heartbeats, the kernel's address leases, the monitor
// of resources and the API server together.
//
// Three loops divide the work, so that nothing that may hang is on the path of a lease:
//
//   - core owns the membership machine and the heartbeats. It touches only files of the host, starts from what the state directory
//     remembers, and never waits for the API server (DESIGN section 2, rule 1).
//   - keeper owns the groups: it turns assignments into what the monitor runs, and stops everything when quorum is lost.
//   - publisher writes statuses, only those that changed, the reporter's view first.
//
// What is kept where: membership and settings (with the heartbeat key) in the state directory, over reboots; promises, run state,
// lease and the guardian's lock in the run directory, until the next boot.
package nodeagent
