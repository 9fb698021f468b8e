// Package cluster simulates whole clusters in one goroutine, with simulated time, all from one seed. Real code decides everything:
// the membership machines (in the world of package sim, with its network and clocks), the lifecycle machines of the groups, the
// reservation protocol against simulated disks, and the controllers, which read lagging caches of a simulated API server and write
// with optimistic concurrency. What is simulated is what is outside of them: the hosts' kernels and processes, the array, the API
// server, the network, and the thin shells (package nodeagent's loops and package monitor's goroutines).
//
// After every event the invariants S1 to S7 of the design are checked (check.go), after the faults L1 and S9; a storm of faults of the
// API server alone also checks S8. Docs/testing.md says how to read a failure, replay, shrink and extend.
package cluster
