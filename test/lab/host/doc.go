// Package host makes one simulated host: a process tree with namespaces, a root file system, a control group and a boot id of its own.
//
// [Start] runs on the daemon's side, [Main] is the host's first process: it builds the root file system, supervises the daemons
// of the host and reaps what is orphaned. They speak JSON over a socket pair.
package host
