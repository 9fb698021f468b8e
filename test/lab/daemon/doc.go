// Package daemon is the process that owns a lab: its first process in namespaces of its own, so that when it ends, however it ends,
// the kernel ends everything of the lab with it. Nothing that it mounts or cables is visible outside.
package daemon
