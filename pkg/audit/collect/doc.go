// Package collect looks at a cluster from outside, for package audit: the objects of the API, what is really on a host, what the disks
// say, and who answers for an address. It changes nothing. A look that cannot be taken is told as such, and is no finding.
package collect
