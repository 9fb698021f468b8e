// Package sim runs whole clusters of membership machines in one goroutine, with simulated time, clocks that drift, a network
// that loses, delays, duplicates and cuts, and hosts that freeze, crash, resume and reboot, all from one seed. After every step it
// checks the invariants (check.go); after the faults it waits for one acting view of all nodes.
//
// A failure prints its seed. To see what happened:
//
//	go test ./test/sim -run TestStorm -sim.seed=812 -sim.trace
package sim
