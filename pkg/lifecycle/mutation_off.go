//go:build !mutation

package lifecycle

// enforced is always true: only the simulation's mutation check (build tag mutation) switches rules off.
func enforced(Rule) bool { return true }
