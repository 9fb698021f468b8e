package ocf

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// real is an installed agent: the project's set-up installs the package resource-agents.
func real(t *testing.T, name string) Agent {
	t.Helper()
	a, err := Find(DefaultRoot, "heartbeat", name)
	if err != nil {
		t.Fatalf("%v (make setup installs the package resource-agents)", err)
	}
	return a
}

func output(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestEveryAgent reads the meta-data of every agent that is installed. QUORATE_TEST_FULL=1 tries all, otherwise every eighth.
func TestEveryAgent(t *testing.T) {
	all, err := List(DefaultRoot)
	if err != nil || len(all) < 80 {
		t.Fatalf("%d agents are installed, %v: want those of the package resource-agents", len(all), err)
	}
	seen := 0
	for i, a := range all {
		if i%8 != 0 && os.Getenv("QUORATE_TEST_FULL") == "" {
			continue
		}
		m, err := a.Metadata(t.Context())
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		seen++
		if !m.Has("start") || !m.Has("stop") || !m.Has("monitor") {
			t.Errorf("%s has the actions %+v", a, m.Actions)
		}
		if m.ShortDescription == "" {
			t.Errorf("%s has no short description", a)
		}
	}
	t.Logf("read the meta-data of %d agents", seen)
}

func TestMetadata(t *testing.T) {
	m, err := real(t, "IPaddr2").Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.Advised("start") != 20*time.Second || m.Name != "IPaddr2" {
		t.Errorf("%s advises %s for a start", m.Name, m.Advised("start"))
	}
	for name, tc := range map[string]struct {
		given map[string]string
		want  []string
	}{
		"right":           {given: map[string]string{"ip": "192.0.2.1", "arp_count": "3"}},
		"missing":         {given: map[string]string{}, want: []string{"parameter ip is missing"}},
		"no integer":      {given: map[string]string{"ip": "192.0.2.1", "arp_count": "many"}, want: []string{`parameter arp_count: "many" is no integer`}},
		"no boolean":      {given: map[string]string{"ip": "192.0.2.1", "lvs_support": "perhaps"}, want: []string{`parameter lvs_support: "perhaps" is no boolean`}},
		"unknown":         {given: map[string]string{"ip": "192.0.2.1", "cidr_netmast": "24"}, want: []string{"no parameter cidr_netmast: did you mean cidr_netmask?"}},
		"all at once":     {given: map[string]string{"pi": "x", "arp_count": "a"}, want: []string{"ip is missing", "arp_count", "no parameter pi"}},
		"the check level": {given: map[string]string{"ip": "192.0.2.1", "OCF_CHECK_LEVEL": "10"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := m.CheckParameters(tc.given)
			if len(got) != len(tc.want) {
				t.Fatalf("%v, want %d mistakes", got, len(tc.want))
			}
			for i, want := range tc.want {
				if !strings.Contains(got[i].Error(), want) {
					t.Errorf("%v does not say %q", got[i], want)
				}
			}
		})
	}
}

// TestBadMetadata: nonsense is refused with the reason.
func TestBadMetadata(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "empty",
		"hello":                             "empty",
		"<html/>":                           "no resource-agent document",
		"<resource-agent":                   "no resource-agent document",
		"<resource-agent></resource-agent>": "no name",
		`<resource-agent name="a"><parameters><parameter/></parameters></resource-agent>`:                         "parameter without a name",
		`<resource-agent name="a"><actions><action name="start" timeout="soon"/></actions></resource-agent>`:      `"soon" is no time`,
		`<resource-agent name="a"><actions><action name="start" timeout="99999999h"/></actions></resource-agent>`: "is no time",
		strings.Repeat(" ", maxMetadata+1): "more than",
	} {
		if _, err := ParseMetadata([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseMetadata(%.60q) = %v, want %q", text, err, want)
		}
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><resource-agent name="a" version="1"><parameters><parameter name="p" required="1"><content type="integer"/></parameter></parameters><actions><action name="start" timeout="20s"/></actions></resource-agent>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseMetadata(raw)
		if err != nil {
			return
		}
		for _, a := range m.Actions {
			if a.Timeout < 0 || a.Timeout > maxAdvice || a.Interval < 0 {
				t.Errorf("action %+v", a)
			}
		}
		m.CheckParameters(map[string]string{"p": "1", "q": "x"})
	})
}

func TestFind(t *testing.T) {
	if _, err := Find(DefaultRoot, "heartbeat", "pgsq"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "did you mean heartbeat/pgsql?") {
		t.Errorf("Find() = %v", err)
	}
	for _, name := range []string{"", "../Dummy", ".Dummy"} {
		if _, err := Find(DefaultRoot, "heartbeat", name); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("Find(%q) = %v", name, err)
		}
	}
	if all, err := List(t.TempDir()); err != nil || len(all) != 0 {
		t.Errorf("List() of nothing = %v, %v", all, err)
	}
}

// TestRun runs a real agent through its life.
func TestRun(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	run := func(action string) error {
		c := &Call{
			Agent: real(t, "Dummy"), Action: action, Instance: "ocf-test", Timeout: 20 * time.Second, Output: output(t),
			Parameters: map[string]string{"state": state},
		}
		return c.Run(t.Context())
	}
	code := func(err error) Code {
		if e, ok := errors.AsType[*Error](err); ok {
			return e.Code
		}
		return -1
	}
	if err := run("monitor"); code(err) != NotRunning {
		t.Errorf("monitor before the start: %v", err)
	}
	for _, action := range []string{"start", "monitor", "start", "stop", "stop"} {
		if err := run(action); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
	if err := run("monitor"); code(err) != NotRunning {
		t.Errorf("monitor after the stop: %v", err)
	}
	if err := run("nonsense"); code(err) != ErrUnimplement {
		t.Errorf("an action that does not exist: %v", err)
	}
}

// script is an agent of our own.
func script(t *testing.T, text string) Agent {
	t.Helper()
	a := Agent{Root: t.TempDir(), Provider: "test", Name: "agent"}
	if err := os.MkdirAll(filepath.Dir(a.Path()), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Path(), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAgentsThatMisbehave: what hangs is ended, with what it said; a reason is told; a daemon that keeps the output open holds up nothing.
func TestAgentsThatMisbehave(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"hangs":             {"echo trying >&2; sleep 1000", "did not end in time: context deadline exceeded: find out what it waits for, or raise pendingTimeout"},
		"hangs, and talks":  {"echo trying >&2; sleep 1000", "; it said: trying"},
		"fails, and waits":  {"echo 'Nov 28 INFO: on it'; echo 'Nov 28 ERROR: port 80 is in use'; for i in $(seq 2000); do echo \"Nov 28 INFO: waiting $i\"; done; sleep 1000", "; it said: port 80 is in use"},
		"calls it an error": {"echo 'x ERROR: no disk' >&2; echo 'x CRIT: no hope' >&2; echo 'x ERROR: no disk' >&2; echo 'x INFO: stopped'; exit 1", "start failed: no disk; no hope"},
		"hangs in a child":  {"sh -c 'sleep 1000'; :", "did not end in time"},
		"has a reason":      {"echo noise; echo 'ocf-exit-reason:no such database' >&2; echo more noise; exit 1", "test/agent start failed: no such database"},
		"has an odd code":   {"exit 77", "code 77, which the standard does not know"},
		"is killed":         {"kill -9 $$", "ended by a signal"},
		"forks and goes on": {"sleep 3 & exit 6", "configured wrongly"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			start := time.Now()
			err := (&Call{Agent: script(t, tc.text), Action: "start", Output: output(t)}).Run(ctx)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := script(t, "sleep 1000").Metadata(ctx); err == nil || !strings.Contains(err.Error(), "does not tell its meta-data") {
		t.Errorf("an agent that hangs: %v", err)
	}
	if _, err := script(t, "yes | head -c 3000000").Metadata(t.Context()); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("an agent that prints without end: %v", err)
	}
}
