// Package networkname keeps a name for the addresses of a group in DNS. What it does there goes on in the background: a server that is dead,
// slow or unwilling delays nothing on this host, and is told as a problem. Each start has a mark of its own in DNS (pkg/dnsupdate), so that what
// one owner removes late is never what another has written meanwhile.
package networkname
