// Package bounded runs calls that may hang in the kernel, such as a command to a disk that does not answer. A call that takes too
// long is left behind with its thread, so it can never hang the agent; how many may be left behind on one object is limited, so that
// a disk that stays silent does not eat the host's threads either.
package bounded
