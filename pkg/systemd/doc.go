// Package systemd asks this host's systemd about units and has it start and stop them, over its own socket (no message bus is needed). A
// connection that breaks, as with systemctl daemon-reexec, is made again; a systemd that hangs hangs nobody past their context.
package systemd
