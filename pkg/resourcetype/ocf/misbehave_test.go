package ocf

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// within limits an instance's operations as the monitor does.
func within(t *testing.T, inst *resourcetype.Instance, limit time.Duration) {
	t.Helper()
	var spec map[string]any
	must(t, json.Unmarshal(inst.Spec, &spec))
	spec["pendingTimeout"] = limit.String()
	raw, err := json.Marshal(spec)
	must(t, err)
	inst.Spec = raw
}

// TestAgentsThatTellNothing: an agent that prints nonsense about itself, or hangs when asked, starts nothing, and the message says where to look.
func TestAgentsThatTellNothing(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	for name, tc := range map[string]struct{ script, want string }{
		"nonsense": {"#!/bin/sh\ncase $1 in meta-data) echo hello, world;; start) touch " + state + ";; esac\n", "see what `"},
		"half":     {"#!/bin/sh\ncase $1 in meta-data) echo '<resource-agent name=\"half\"><parameters>';; start) touch " + state + ";; esac\n", "see what `"},
		"hangs":    {"#!/bin/sh\ntrap '' TERM\ncase $1 in meta-data) while :; do sleep 1; done;; start) touch " + state + ";; esac\n", "must print it at once"},
		"fails":    {"#!/bin/sh\ncase $1 in start) touch " + state + ";; esac\nexit 1\n", "does not tell its meta-data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			typ := ours(t, nil)
			must(t, os.WriteFile(filepath.Join(typ.root, "resource.d", "test", name), []byte(tc.script), 0o755))
			inst := instance(t, "test", name, "state="+state)
			began := time.Now()
			err := typ.Online(t.Context(), inst)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "test/"+name) {
				t.Errorf("Online() = %v, want %q", err, tc.want)
			}
			if took := time.Since(began); took > 2*patience {
				t.Errorf("it took %s", took)
			}
			noCgroup(t, inst)
			if found := typ.Check(t.Context(), inst.Spec); len(found) != 1 || found[0].Reason != "AgentUnusable" || !strings.Contains(found[0].Message, tc.want) {
				t.Errorf("Check() = %+v", found)
			}
			if _, err := os.Stat(state); err == nil {
				t.Error("it was started")
			}
		})
	}
}

// forker leaves a process that has a session, a parent and a name of its own, and does not end at SIGTERM.
const forker = `setsid sh -c 'trap "" TERM HUP INT; (cd /; exec sh -c "trap \"\" TERM HUP INT; echo \$\$ > $OCF_RESKEY_state; while :; do sleep 1; done" innocent) & exit 0' >/dev/null 2>&1
while [ ! -s "$OCF_RESKEY_state" ]; do sleep 0.01; done
`

// TestNothingEscapes: whatever an agent has started and lost sight of ends with the resource.
func TestNothingEscapes(t *testing.T) {
	for name, tc := range map[string]struct {
		script, online string
		end            func(*Type, context.Context, *resourcetype.Instance) error
	}{
		"the start fails": {`case $1 in start) ` + forker + ` echo "ocf-exit-reason:no licence" >&2; exit 1;; monitor) exit 7;; esac; exit 0`, "no licence", nil},
		"the start hangs": {`case $1 in start) ` + forker + ` trap "" TERM; while :; do sleep 1; done;; monitor) exit 7;; esac; exit 0`, "did not end in time", nil},
		"the first look hangs": {
			`case $1 in start) touch "$OCF_RESKEY_state";; monitor) trap "" TERM; while :; do sleep 1; done;; esac; exit 0`, "did not end in time", nil,
		},
		"the stop believes that it is done": {
			`case $1 in start) ` + forker + ` exit 0;; monitor) [ -s "$OCF_RESKEY_state" ] || exit 7;; stop) kill "$(cat "$OCF_RESKEY_state")"; exit 0;; esac; exit 0`,
			"", (*Type).Offline,
		},
		"the stop hangs": {
			`case $1 in start) ` + forker + ` exit 0;; monitor) kill -0 "$(cat "$OCF_RESKEY_state")" || exit 7;; stop) trap "" TERM; while :; do sleep 1; done;; esac; exit 0`,
			"", (*Type).Terminate,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := filepath.Join(t.TempDir(), "pid")
			typ, inst := ours(t, map[string]string{"bad": tc.script}), instance(t, "test", "bad", "state="+state)
			within(t, inst, 2*time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := typ.Online(ctx, inst)
			if tc.online == "" {
				must(t, err)
				if !alive(pidIn(t, state)) {
					t.Fatal("nothing was started")
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.online) {
				t.Errorf("Online() = %v, want %q", err, tc.online)
			}
			if tc.end != nil {
				began := time.Now()
				must(t, tc.end(typ, t.Context(), inst))
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the end took %s", took)
				}
			}
			noCgroup(t, inst)
			if raw, err := os.ReadFile(state); err == nil && len(raw) > 0 && alive(pidIn(t, state)) {
				t.Error("a process is left")
			}
		})
	}
}

// TestStopThatFails: what still runs is not called stopped, and the message says what the agent waits for.
func TestStopThatFails(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	typ := ours(t, map[string]string{
		"clings": `case $1 in start) touch "$OCF_RESKEY_state"; exit 0;; monitor) [ -e "$OCF_RESKEY_state" ] || exit 7;;
stop) echo "x ERROR: the device is busy" >&2; while :; do sleep 1; done;; esac; exit 0`,
	})
	inst := instance(t, "test", "clings", "state="+state)
	within(t, inst, time.Second)
	must(t, typ.Online(t.Context(), inst))
	err := typ.Terminate(t.Context(), inst)
	for _, want := range []string{"test/clings stop did not end in time", "find out what it waits for", "the device is busy", filepath.Join("logs", "demo.app.log")} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Terminate() = %v, want %q", err, want)
		}
	}
	must(t, os.Remove(state))
	must(t, typ.Terminate(t.Context(), inst))
}
