// Package guardian is the last line: a process of its own that watches the agent's lease and, when the agent is dead or hung at the
// end of it, stops everything that runs on the host within selfFence.timeout, from the run state alone (rule O11, DESIGN 4). It
// trusts nothing of the agent but the lease and the records.
package guardian
