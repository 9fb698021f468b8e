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

// tunable are the parameters, by the field of their type, that a resource which is online takes over as it is: the type's Maintain does what
// follows from them, or the next start.
var tunable = map[string][]string{
	"ipAddress":    {"whenIsolated"},
	"loopbackDisk": {"fsck", "resize", "size"},
	"physicalDisk": {"fsck", "resize"},
}

// Tuning changes with those parameters of a resource, whose ResourceSpec as JSON is given, that are taken over while it is online; empty
// for types that have none.
func Tuning(spec json.RawMessage) (string, error) {
	parameters := map[string]json.RawMessage{}
	if len(spec) > 0 {
		if err := json.Unmarshal(spec, &parameters); err != nil {
			return "", fmt.Errorf("its spec is no JSON object: %w", err)
		}
	}
	found := map[string]any{}
	for field, names := range tunable {
		var own map[string]any
		if json.Unmarshal(parameters[field], &own) != nil {
			continue // the type is another one; what is garbled here fails at the start
		}
		for _, name := range names {
			if value, set := own[name]; set {
				found[field+"."+name] = value
			}
		}
	}
	if len(found) == 0 {
		return "", nil
	}
	text, err := json.Marshal(found) // sorted by name
	return string(text), err
}

// Fingerprint changes with the parameters of a resource, whose ResourceSpec as JSON is given, and the virtual server's name, and with nothing
// else: networks that come and go must not restart what runs, nor what Tuning tells. A resource whose fingerprint changes while it is online is started anew, with what
// depends on it.
func Fingerprint(kind string, spec json.RawMessage, networkName string) (string, error) {
	parameters := map[string]any{}
	if len(spec) > 0 {
		if err := json.Unmarshal(spec, &parameters); err != nil {
			return "", fmt.Errorf("its spec is no JSON object: %w", err)
		}
	}
	maps.DeleteFunc(parameters, func(name string, _ any) bool { return slices.Contains(policyFields, name) })
	for field, names := range tunable {
		if own, is := parameters[field].(map[string]any); is {
			maps.DeleteFunc(own, func(name string, _ any) bool { return slices.Contains(names, name) })
		}
	}
	canonical, err := json.Marshal([]any{kind, parameters, networkName})
	if err != nil {
		return "", fmt.Errorf("encoding its parameters: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:12]), nil
}
