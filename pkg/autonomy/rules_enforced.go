//go:build !mutation

package autonomy

// enforced is always true: only the mutation check (build tag mutation) switches rules off.
func enforced(rule) bool { return true }
