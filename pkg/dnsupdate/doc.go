// Package dnsupdate keeps the records of a name on a DNS server by dynamic update (RFC 2136), signed where there is a key (RFC 8945). Beside
// each name is a mark that says whose its records are: every change names the mark that was read before it as its prerequisite, so that the
// server itself refuses what is late, and nobody takes away what another owner has written meanwhile.
package dnsupdate
