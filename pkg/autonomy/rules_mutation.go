//go:build mutation

package autonomy

// Rules that can be switched off.
const (
	RuleWait       = ruleWait
	RuleTold       = ruleTold
	RuleJoined     = ruleJoined
	RuleJump       = ruleJump
	RuleLost       = ruleLost
	RuleUnreported = ruleUnreported
	RuleRead       = ruleRead
	RuleKept       = ruleKept
)

// Disabled is the rule that the mutation check has switched off; empty for none.
var Disabled rule

func enforced(r rule) bool { return r != Disabled }
