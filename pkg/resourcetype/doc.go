// Package resourcetype says what a type of resource can do on a host, and finds the type by its name. The types themselves are the
// packages below it. A type keeps no state of its own between calls that a restart of the agent must not lose: all of that is in
// the Instance, which the monitor keeps on disk, so that the guardian can terminate a resource from its record alone.
package resourcetype
