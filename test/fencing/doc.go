// Package fencing tests the disk resource type against an array that enforces reservations for each host, as shared storage does:
// two hosts, one disk, and what each may still do to it at every moment.
package fencing
