// Package hyper holds the end-to-end tests of clusters whose control plane is on their own hosts, and whose nodes decide themselves while
// it is gone: a host that dies may take etcd's leader, the leading manager and a group at once. The tests of three hosts share one lab,
// which every test leaves as it found it; the live audit looks on from outside.
package hyper
