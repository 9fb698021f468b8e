// Package selffence shows on a real kernel what becomes of a host whose guardian, or whose kernel, hangs: its watchdog device resets
// it. The tests run the guardian of the agent's own binary in the emulated guest; nothing in them is timed.
package selffence
