package lifecycle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// policyFields are the fields of a ResourceSpec that say how the resource is treated, not what it is: to change them restarts
// nothing. Whatever is not listed here counts as a parameter.
var policyFields = []string{
	"description", "groupName", "desiredState", "dependsOn", "possibleOwners", "restart", "retryPeriodOnFailure",
	"looksAliveInterval", "isAliveInterval", "pendingTimeout", "deadlockTimeout", "separateMonitor", "checkpoints",
}

// Fingerprint changes with the parameters of a resource, whose ResourceSpec as JSON is given, and the virtual server's name, and with nothing
// else: networks that come and go must not restart what runs. A resource whose fingerprint changes while it is online is started anew, with what
// depends on it.
func Fingerprint(kind string, spec json.RawMessage, networkName string) (string, error) {
	parameters := map[string]any{}
	if len(spec) > 0 {
		if err := json.Unmarshal(spec, &parameters); err != nil {
			return "", fmt.Errorf("its spec is no JSON object: %w", err)
		}
	}
	maps.DeleteFunc(parameters, func(name string, _ any) bool { return slices.Contains(policyFields, name) })
	canonical, err := json.Marshal([]any{kind, parameters, networkName})
	if err != nil {
		return "", fmt.Errorf("encoding its parameters: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:12]), nil
}
