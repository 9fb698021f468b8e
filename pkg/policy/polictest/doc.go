// Package polictest drives policy.Plan over a small fake world: scripts in test/scenarios build a cluster, let things happen to
// it, and show what is decided and what becomes of it. After every command it checks, without being asked, that the plan keeps the
// invariants, leaves its input alone, and does not depend on the order of nodes and groups.
//
// The world's agents are simple and correct: they start what is assigned to them when no earlier owner can be running it any more,
// and stop and release what is taken from them. A host that is hung does neither; one that is killed leaves its last report behind.
package polictest
