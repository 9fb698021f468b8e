// Package resourcehost runs the code of a resource type for one resource in a process of its own (spec.separateMonitor; WSFC's
// SeparateMonitor and Resource Host). A call there that does not return when it is given up costs its process and nothing else: the process is
// killed and the next call has a new one, while the agent, its heartbeats and all other resources go on.
//
// What runs on the host for the resource is not the process's: it stays when the process ends, as it stays when the agent does.
package resourcehost
