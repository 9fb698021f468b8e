//go:build mutation

package policy

// Disabled is the rule that the mutation check has switched off; empty for none. It exists under the build tag mutation only.
var Disabled Rule

func enforced(r Rule) bool { return r != Disabled }
