package ocf

import (
	"fmt"
	"slices"
	"strings"
)

// Code is an agent's exit code (OCF Resource Agent API 1.1, "Exit status codes").
type Code int

// Exit codes.
const (
	Success         Code = 0
	ErrGeneric      Code = 1
	ErrArgs         Code = 2
	ErrUnimplement  Code = 3
	ErrPermission   Code = 4
	ErrInstalled    Code = 5
	ErrConfigured   Code = 6
	NotRunning      Code = 7
	RunningPromoted Code = 8
	FailedPromoted  Code = 9
)

var meanings = map[Code]string{
	Success: "succeeded", ErrGeneric: "failed", ErrArgs: "does not accept its parameters on this host", ErrUnimplement: "does not know the action",
	ErrPermission: "lacks a permission", ErrInstalled: "lacks a program or file that it needs on this host",
	ErrConfigured: "says that the resource is configured wrongly", NotRunning: "says that the resource is not running",
	RunningPromoted: "says that the resource runs in the promoted role", FailedPromoted: "says that the resource has failed in the promoted role",
}

func (c Code) String() string {
	if text := meanings[c]; text != "" {
		return text
	}
	return fmt.Sprintf("ended with code %d, which the standard does not know", int(c))
}

// Error is an action that did not end as it should.
type Error struct {
	Agent  Agent
	Action string
	Code   Code
	// Reason is the agent's own (ocf_exit_reason), or the end of what it printed.
	Reason string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s %s", e.Agent, e.Action, e.Code)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// reasonPrefix is what ocf_exit_reason puts before a reason.
const reasonPrefix = "ocf-exit-reason:"

// errorMark is what ocf_log puts before the messages of its levels err and crit, after a time stamp.
const (
	errorMark    = "ERROR: "
	criticalMark = "CRIT: "
)

// maxReason bounds a reason, in bytes.
const maxReason = 400

// reasonOf finds the agent's own words in what an action has printed: its reason, else what it calls an error, else the end.
func reasonOf(output []byte) string {
	text := strings.ToValidUTF8(string(output), "?")
	reason, wrong := "", []string{}
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if after, found := strings.CutPrefix(l, reasonPrefix); found {
			reason = strings.TrimSpace(after)
		}
		for _, mark := range []string{errorMark, criticalMark} {
			if _, after, found := strings.Cut(l, mark); found && strings.TrimSpace(after) != "" && !slices.Contains(wrong, after) {
				wrong = append(wrong, after)
			}
		}
	}
	if reason == "" {
		reason = strings.Join(wrong, "; ")
	}
	if reason == "" {
		reason = strings.TrimSpace(text)
		if len(reason) > maxReason {
			reason = strings.ToValidUTF8(reason[len(reason)-maxReason:], "")
		}
	}
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	return reason
}
