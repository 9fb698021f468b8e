// Package ipaddress brings an IPv4 or IPv6 address online on the interface that is on the address's network: checked for duplicates,
// put under the guard that silences it when this node's lease ends, added, and announced to the neighbours at once and a few times
// more.
package ipaddress
