package powerfence

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DefaultTimeout is how long one level may take if its spec says nothing.
const DefaultTimeout = time.Minute

const (
	maxParameters = 64
	maxValue      = 4096
)

// Level is one way to cut a host's power.
type Level struct {
	// Number orders the levels, lowest first.
	Number int
	// Driver is the name of the fence agent.
	Driver string
	// Parameters and Secrets go to the agent; Secrets are never shown.
	Parameters, Secrets []Parameter
	// Timeout bounds the level: off and its confirmation together. 0 is DefaultTimeout.
	Timeout time.Duration
}

// Parameter is one of an agent.
type Parameter struct{ Name, Value string }

var (
	driverName    = regexp.MustCompile(`^fence_[a-z0-9_]{1,57}$`)
	parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,62}$`)
	// reserved parameters are ours to set, or make the agent write what it was given, or run something else.
	reserved = []string{
		"action", "option", "debug", "debug_file", "debug-file", "verbose", "verbose_level", "help", "version", "separator", "quiet",
		"nodename", "fence_agent", "agent",
	}
)

// ValidDriver says why a name cannot be that of a fence agent; nil if it can.
func ValidDriver(name string) error {
	if !driverName.MatchString(name) {
		return fmt.Errorf("driver %q: a fence agent's name is fence_ and then a-z, 0-9 and _", name)
	}
	return nil
}

// validate checks what can be checked without the agent. A line break in a value would become another parameter.
func (l *Level) validate() error {
	if err := ValidDriver(l.Driver); err != nil {
		return err
	}
	all := slices.Concat(l.Parameters, l.Secrets)
	if len(all) > maxParameters {
		return fmt.Errorf("driver %s: %d parameters, at most %d", l.Driver, len(all), maxParameters)
	}
	seen := map[string]bool{}
	for _, p := range all {
		switch name := strings.ToLower(p.Name); {
		case !parameterName.MatchString(p.Name):
			return fmt.Errorf("driver %s: %q is not the name of a parameter", l.Driver, p.Name)
		case slices.Contains(reserved, name) || strings.HasSuffix(name, "_script") || strings.HasSuffix(name, "-script"):
			return fmt.Errorf("driver %s: parameter %s is not allowed: Quorate sets it, or it would show credentials or run a command", l.Driver, p.Name)
		case seen[p.Name]:
			return fmt.Errorf("driver %s: parameter %s is given twice (in parameters, or there and in the Secret)", l.Driver, p.Name)
		case len(p.Value) > maxValue:
			return fmt.Errorf("driver %s: the value of parameter %s is longer than %d bytes", l.Driver, p.Name, maxValue)
		case strings.ContainsAny(p.Value, "\n\r\x00"):
			return fmt.Errorf("driver %s: the value of parameter %s contains a line break", l.Driver, p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// input is what the agent reads.
func (l *Level) input(action string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "action=%s\n", action)
	for _, p := range slices.Concat(l.Parameters, l.Secrets) {
		fmt.Fprintf(&b, "%s=%s\n", p.Name, p.Value)
	}
	return b.Bytes()
}

// conceal takes the secrets out of a text.
func (l *Level) conceal(text string) string {
	for _, s := range l.Secrets {
		if s.Value != "" {
			text = strings.ReplaceAll(text, s.Value, "***")
		}
	}
	return text
}

func (l *Level) timeout() time.Duration {
	if l.Timeout > 0 {
		return l.Timeout
	}
	return DefaultTimeout
}
