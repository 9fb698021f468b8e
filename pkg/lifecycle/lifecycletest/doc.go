// Package lifecycletest drives a group's machine over a fake host: scripts in test/scenarios/lifecycle say how long things take and what
// fails, and show what the machine does about it. After every step it checks, without being asked, that nothing runs without what it
// depends on (S6), that all disks are held before anything starts (O12), and that released means gone (O1).
//
// Calls take no time unless a scenario says so, and the clock begins at 0s.
package lifecycletest
