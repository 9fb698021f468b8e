package ocf

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
	"github.com/quorate/quorate/pkg/ocf"
	"github.com/quorate/quorate/pkg/pidfd"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// instance makes an instance of an agent with parameters, as NAME=VALUE.
func instance(t *testing.T, provider, agent string, parameters ...string) *resourcetype.Instance {
	t.Helper()
	list := []map[string]string{}
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		list = append(list, map[string]string{"name": name, "value": value})
	}
	spec, err := json.Marshal(map[string]any{
		"groupName": "shop", "type": Name, "ocf": map[string]any{"provider": provider, "agent": agent, "parameters": list},
	})
	must(t, err)
	return &resourcetype.Instance{
		Type: Name, Resource: resourcetype.Identity{UID: "11111111-ocf", Namespace: "demo", Name: "app"},
		Group:   resourcetype.Identity{UID: "33333333-4444", Namespace: "demo", Name: "shop"},
		Cluster: "test", NodeName: "node-a", Node: 1, Epoch: 1, Spec: spec, CgroupRoot: cgrouptest.Root(t), RunDir: t.TempDir(),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ours is a type whose agents are scripts of the test: provider test, by name.
func ours(t *testing.T, agents map[string]string) *Type {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "resource.d", "test")
	must(t, os.MkdirAll(dir, 0o755))
	for name, text := range agents {
		meta := fmt.Sprintf(`<?xml version="1.0"?><resource-agent name="%s"><shortdesc>a test</shortdesc><parameters>
<parameter name="state" required="1"><shortdesc>a file</shortdesc><content type="string"/></parameter></parameters>
<actions><action name="start" timeout="20s"/><action name="stop" timeout="20s"/><action name="monitor" timeout="20s"/></actions></resource-agent>`, name)
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\ncase $1 in meta-data) cat <<'META'\n"+meta+"\nMETA\nexit 0;; esac\n"+text), 0o755))
	}
	return &Type{root: root}
}

// daemon is an agent with a process that stays.
const daemon = `
running() { [ -e "$OCF_RESKEY_state" ] && grep -q '^State:.[^Z]' "/proc/$(cat "$OCF_RESKEY_state")/status" 2>/dev/null; }
case $1 in
start) running && exit 0; setsid sleep 1000 & echo $! > "$OCF_RESKEY_state"; exit 0;;
stop) running && kill "$(cat "$OCF_RESKEY_state")"; rm -f "$OCF_RESKEY_state"; exit 0;;
monitor) running && exit 0; exit 7;;
esac
exit 3
`

func pidIn(t *testing.T, file string) int {
	t.Helper()
	raw, err := os.ReadFile(file)
	must(t, err)
	pid := 0
	_, err = fmt.Sscan(string(raw), &pid)
	must(t, err)
	return pid
}

// alive says that a process runs; what waits for its parent to notice its end does not.
func alive(pid int) bool {
	p, err := pidfd.Open(pid)
	if err != nil {
		return false
	}
	defer p.Close()
	return !p.Ended()
}

// noCgroup fails if anything of the instance is left.
func noCgroup(t *testing.T, inst *resourcetype.Instance) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(inst.CgroupRoot, "ocf-"+inst.Resource.UID)); !os.IsNotExist(err) {
		t.Errorf("the cgroup is left: %v", err)
	}
}

// TestRealAgents takes agents of the package resource-agents through a whole life.
func TestRealAgents(t *testing.T) {
	dir := t.TempDir()
	for name, parameters := range map[string][]string{
		"Dummy":    {"state=" + filepath.Join(dir, "dummy.state")},
		"anything": {"binfile=/bin/sleep", "cmdline_options=1000", "stop_timeout=1", "pidfile=" + filepath.Join(dir, "anything.pid")},
		"symlink":  {"link=" + filepath.Join(dir, "link"), "target=/etc/hostname"},
	} {
		t.Run(name, func(t *testing.T) {
			typ, inst := New(), instance(t, "heartbeat", name, parameters...)
			if found := typ.Check(t.Context(), inst.Spec); len(found) > 0 {
				t.Fatalf("Check() = %+v", found)
			}
			must(t, typ.Online(t.Context(), inst))
			must(t, typ.LooksAlive(t.Context(), inst))
			must(t, typ.IsAlive(t.Context(), inst))
			must(t, New().Adopt(t.Context(), inst))
			must(t, typ.Offline(t.Context(), inst))
			noCgroup(t, inst)
			if typ.IsAlive(t.Context(), inst) == nil || New().Adopt(t.Context(), inst) == nil {
				t.Error("what is offline is alive")
			}
			must(t, typ.Offline(t.Context(), inst))
			must(t, typ.Terminate(t.Context(), inst))
			must(t, typ.Online(t.Context(), inst))
			must(t, New().Terminate(t.Context(), inst))
			noCgroup(t, inst)
		})
	}
}

// TestDaemon: a process that the agent started survives this agent, its end is seen at once, and a termination leaves nothing.
func TestDaemon(t *testing.T) {
	state := filepath.Join(t.TempDir(), "pid")
	typ, inst := ours(t, map[string]string{"daemon": daemon}), instance(t, "test", "daemon", "state="+state)
	must(t, typ.Online(t.Context(), inst))
	pid := pidIn(t, state)
	must(t, (&Type{root: typ.root}).Adopt(t.Context(), inst))
	failed, err := typ.Watch(t.Context(), inst)
	must(t, err)
	select {
	case err := <-failed:
		t.Fatalf("a process that runs has failed: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	must(t, unix.Kill(pid, unix.SIGKILL))
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "not running") {
			t.Errorf("Watch() = %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the end of the process was not seen")
	}
	must(t, typ.Terminate(t.Context(), inst))
	noCgroup(t, inst)

	must(t, typ.Online(t.Context(), inst))
	pid = pidIn(t, state)
	must(t, typ.Offline(t.Context(), inst))
	if alive(pid) {
		t.Error("the process is left")
	}
}

// TestInterruptedStart: a start that an agent's death has interrupted is undone before the next.
func TestInterruptedStart(t *testing.T) {
	state := filepath.Join(t.TempDir(), "pid")
	typ, inst := ours(t, map[string]string{"daemon": daemon}), instance(t, "test", "daemon", "state="+state)
	must(t, typ.Online(t.Context(), inst))
	first := pidIn(t, state)
	must(t, typ.Online(t.Context(), inst))
	if alive(first) || !alive(pidIn(t, state)) {
		t.Error("the process of the interrupted start is left, or the new one is not there")
	}
	must(t, typ.Terminate(t.Context(), inst))
}

// TestNotOurs: what runs already is refused, and left alone.
func TestNotOurs(t *testing.T) {
	state := filepath.Join(t.TempDir(), "pid")
	typ, other := ours(t, map[string]string{"daemon": daemon}), instance(t, "test", "daemon", "state="+state)
	must(t, typ.Online(t.Context(), other))
	pid := pidIn(t, state)
	inst := instance(t, "test", "daemon", "state="+state)
	inst.Resource.UID = "another"
	if err := typ.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "runs on this host already") {
		t.Errorf("Online() = %v", err)
	}
	must(t, typ.Terminate(t.Context(), inst))
	if !alive(pid) {
		t.Error("the process of another resource was ended")
	}
	must(t, typ.Terminate(t.Context(), other))
}

// TestBadAgents: each mistake ends in an error that says what to do, and leaves nothing.
func TestBadAgents(t *testing.T) {
	state := filepath.Join(t.TempDir(), "pid")
	typ := ours(t, map[string]string{
		"hangs":   `case $1 in start) sleep 1000 & sleep 1000;; monitor) exit 7;; esac; exit 0`,
		"fails":   `case $1 in start) sleep 1000 & echo "ocf-exit-reason:the port 80 is in use" >&2; exit 1;; monitor) exit 7;; esac; exit 0`,
		"missing": `case $1 in stop) exit 0;; esac; echo "ocf-exit-reason:no httpd" >&2; exit 5`,
		"stays":   `case $1 in start) exit 0;; stop) exit 1;; monitor) [ -e "$OCF_RESKEY_state" ] && exit 0; touch "$OCF_RESKEY_state"; exit 7;; esac; exit 0`,
		"daemon":  daemon,
	})
	for name, tc := range map[string]struct{ parameter, want string }{
		"hangs":   {"state=" + state, "did not end in time"},
		"fails":   {"state=" + state, "the port 80 is in use"},
		"missing": {"state=" + state, "lacks a program or file that it needs on this host: no httpd"},
		"daemon":  {"stat=" + state, "no parameter stat: did you mean state?"},
		"demon":   {"state=" + state, "did you mean test/daemon?"},
	} {
		t.Run(name, func(t *testing.T) {
			inst := instance(t, "test", name, tc.parameter)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if err := typ.Online(ctx, inst); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Online() = %v, want %q", err, tc.want)
			}
			noCgroup(t, inst)
		})
	}
	inst := instance(t, "test", "stays", "state="+state)
	must(t, typ.Online(t.Context(), inst))
	if err := typ.Terminate(t.Context(), inst); err == nil {
		t.Error("what does not stop was called gone")
	}
	inst = instance(t, "test", "daemon")
	if found := typ.Check(t.Context(), inst.Spec); len(found) != 1 || found[0].Reason != resourcetype.ReasonInvalidSpec || !strings.Contains(found[0].Message, "state is missing") {
		t.Errorf("Check() without a parameter = %+v", found)
	}
	inst = instance(t, "test", "nowhere", "state=x")
	if found := typ.Check(t.Context(), inst.Spec); len(found) != 1 || found[0].Reason != resourcetype.ReasonToolMissing {
		t.Errorf("Check() of an agent that is not there = %+v", found)
	}
}

// TestParametersOfTheStart: a stop has the parameters of the start, whatever the spec says by now.
func TestParametersOfTheStart(t *testing.T) {
	state := filepath.Join(t.TempDir(), "pid")
	typ, inst := ours(t, map[string]string{"daemon": daemon}), instance(t, "test", "daemon", "state="+state)
	must(t, typ.Online(t.Context(), inst))
	pid := pidIn(t, state)
	inst.Spec = instance(t, "test", "daemon", "state=/nowhere/else").Spec
	must(t, typ.IsAlive(t.Context(), inst))
	must(t, typ.Offline(t.Context(), inst))
	if alive(pid) {
		t.Error("the process is left")
	}
}

// TestDenied: nothing is started when the node may not act any more.
func TestDenied(t *testing.T) {
	state := filepath.Join(t.TempDir(), "pid")
	typ, inst := ours(t, map[string]string{"daemon": daemon}), instance(t, "test", "daemon", "state="+state)
	inst.MayAct = func() error { return context.DeadlineExceeded }
	if err := typ.Online(t.Context(), inst); err == nil {
		t.Error("it was started")
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("it was started")
	}
}

// TestMetadataIsAskedOnce: an agent that tells nothing is not asked again at each look, and one that was changed is.
func TestMetadataIsAskedOnce(t *testing.T) {
	typ := ours(t, map[string]string{"daemon": daemon})
	a := ocf.Agent{Root: typ.root, Provider: "test", Name: "daemon"}
	first, err := typ.known.of(t.Context(), a)
	must(t, err)
	again, err := typ.known.of(t.Context(), a)
	must(t, err)
	if first != again {
		t.Error("the agent was asked twice")
	}
	must(t, os.WriteFile(a.Path(), []byte("#!/bin/sh\necho nonsense\n"), 0o755))
	if _, err := typ.known.of(t.Context(), a); err == nil {
		t.Error("a changed agent was not asked")
	}
}
