//go:build !mutation

package reservation

// enforced is always true: only the simulation's mutation check (build tag mutation) switches rules off.
func enforced(Rule) bool { return true }
