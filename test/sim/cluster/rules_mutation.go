//go:build mutation

package cluster

// disabled is the rule that the mutation check has switched off; empty for none.
var disabled rule

func enforced(r rule) bool { return r != disabled }
