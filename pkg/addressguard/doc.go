// Package addressguard makes the kernel silence a cluster address when this host's lease ends (rule O13), without the help of any
// process: the lease is the timeout of an element of an nftables set, the gate. While it is not there, every packet, ARP message or neighbour
// discovery to or from an address under guard is dropped. Renewing the lease replaces that element in one transaction, so nobody sees a gap,
// and it costs the same for one address and for a thousand. A lease that has run out is never revived: what was silent stays so, beside
// addresses that begin a new lease, until it is removed and added again.
//
// Timeouts run on the kernel's own clock, which stands still while the whole machine is suspended, as the processes do.
package addressguard
