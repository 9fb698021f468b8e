package main

import "testing"

// TestIdentityOutlivesStartingAnew: the same process keeps its identity; another one that inherits the variable does not get it.
func TestIdentityOutlivesStartingAnew(t *testing.T) {
	t.Setenv(identityVariable, "")
	first := identityOf("node-a")
	if again := identityOf("node-a"); again != first {
		t.Errorf("%s became %s in the same process", first, again)
	}
	t.Setenv(identityVariable, "1:node-a_other")
	if other := identityOf("node-a"); other == "node-a_other" || other == first {
		t.Errorf("a process has the identity of another: %s", other)
	}
}
