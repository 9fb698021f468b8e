// Package monitor runs resource types on this host: it carries out the actions of the groups' lifecycle machines, checks health
// with deadlines, writes intent to the run state before each act (rule O8), and adopts what runs after a restart of the agent.
package monitor
