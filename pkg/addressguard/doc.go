// Package addressguard makes the kernel silence a cluster address when this host's lease ends (rule O13), without the help of any
// process: every address is an element of nftables sets whose timeout is the lease. A packet, ARP message or neighbour discovery to
// or from an address that is managed but not leased is dropped. Renewing the lease replaces the elements in one transaction, so
// nobody sees a gap; a lease that has run out is never revived, the address must be removed and added again.
//
// Timeouts run on the kernel's own clock, which stands still while the whole machine is suspended, as the processes do.
package addressguard
