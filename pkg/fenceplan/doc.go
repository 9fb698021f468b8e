// Package fenceplan decides whose power is cut, by whom, and when: plain values in, plain values out, as package policy does for
// groups. Package powerfence carries it out.
//
// The rules, each with a scenario in testdata:
//
//   - Only a node in an acting view fences (R7): the rest without the fenced nodes is then quorate by itself. It never fences itself,
//     nor any node of the view.
//   - A fencing is aimed at one life of a node {id, generation} (O3), the newest that is known; a newer one in a view ends the need.
//   - WhenNeeded: a group waits for proof that only the deadline, or the power, can give (O13), and the life is one of its unproven
//     owners. Always: the life was the owner of any group.
//   - A node without levels of fencing, one that took its leave, and whatever is in maintenance is left alone.
//   - One fencer a target: of the members that can, the one with the fewest failures on it, then the lowest id.
//   - Fencings that groups wait for may run together, up to a bound; of the others one at a time.
//   - A failure makes the next attempt wait, longer each time. Attempts on one node in an hour are bounded, and a node whose power was
//     cut too often in an hour stays off: something is wrong with it that another boot does not mend.
package fenceplan
