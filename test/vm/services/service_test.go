package services

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/genericservice"
	"github.com/quorate/quorate/test/vm/guest"
	"github.com/quorate/quorate/test/vm/guest/systemd"
)

const (
	parameters = "--verbose 100% \"quoted\" back\\slash\nsecond line\ttab $HOME %n"
	// stubborn ignores what asks it to end, has a child in a session of its own, and is started again by systemd whatever happens.
	stubborn = "[Service]\nType=exec\nExecStart=/bin/sh -c 'trap \"\" TERM; setsid sleep 100000 & while :; do sleep 1; done'\n" +
		"Restart=always\nRestartSec=0\nRestartForceExitStatus=SIGKILL\nStartLimitIntervalSec=0\nTimeoutStopSec=1s\n"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func instance(t *testing.T, unit string) *resourcetype.Instance {
	t.Helper()
	spec, err := json.Marshal(map[string]any{
		"groupName": "shop", "type": genericservice.Name, "genericService": map[string]string{"unit": unit, "startParameters": parameters},
	})
	must(t, err)
	return &resourcetype.Instance{
		Type: genericservice.Name, Resource: resourcetype.Identity{UID: "11111111-2222", Namespace: "demo", Name: "web"},
		Group:   resourcetype.Identity{UID: "33333333-4444", Namespace: "demo", Name: "shop"},
		Cluster: "test", NodeName: "node-a", Node: 1, Generation: 1, Epoch: 1, Spec: spec, CgroupRoot: "/sys/fs/cgroup/quorate", RunDir: t.TempDir(),
	}
}

// ofUnit lists the processes in a unit's control group, by looking at all processes of the machine.// ofUnit lists the living processes in a unit's control group, by looking at all processes of the machine.
func ofUnit(t *testing.T, unit string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	must(t, err)
	var pids []string
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(raw), "/"+unit+"\n") {
			continue
		}
		// One that is dead, and of which systemd has not taken note, does nothing any more.
		dir := filepath.Dir(file)
		if stat, err := os.ReadFile(filepath.Join(dir, "stat")); err == nil && !strings.Contains(string(stat), ") Z ") {
			pids = append(pids, filepath.Base(dir))
		}
	}
	return pids
}

// asBefore fails unless the unit is down and systemd goes by its own file alone.
func asBefore(t *testing.T, unit, restart string) {
	t.Helper()
	if pids := ofUnit(t, unit); len(pids) != 0 {
		t.Errorf("processes of %s are left: %v", unit, pids)
	}
	if left, err := os.ReadDir(filepath.Join("/run/systemd/system", unit+".d")); err == nil {
		t.Errorf("drop-ins are left: %v", left)
	}
	want := map[string]string{"Restart": restart, "DropInPaths": "", "ActiveState": "inactive", "Environment": ""}
	if diff := cmp.Diff(want, systemd.Show(t, unit, slices.Collect(maps.Keys(want))...)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", unit, diff)
	}
}

// mainPID of a unit.
func mainPID(t *testing.T, unit string) string {
	t.Helper()
	return systemd.Show(t, unit, "MainPID")["MainPID"]
}

// TestGuestLife: the parameters arrive, a new agent takes over what runs, a restart by hand is let
// happen, and a stop leaves nothing, not even of a unit of which systemd stops the main process alone.
func TestGuestLife(t *testing.T) {
	systemd.Require(t)
	const unit = "shop-web.service"
	systemd.Units(t, map[string]string{unit: stubborn + "KillMode=process\n"})
	typ, inst := genericservice.New(), instance(t, unit)
	if found := typ.Check(t.Context(), inst.Spec); len(found) != 0 {
		t.Errorf("Check() = %+v", found)
	}
	began := time.Now()
	must(t, typ.Online(t.Context(), inst))
	t.Logf("online after %v", time.Since(began))
	main := mainPID(t, unit)
	env, err := os.ReadFile("/proc/" + main + "/environ")
	must(t, err)
	for _, want := range []string{"QUORATE_START_PARAMETERS=" + parameters, "QUORATE_GROUP=shop"} {
		if !strings.Contains("\x00"+string(env), "\x00"+want+"\x00") {
			t.Errorf("the service does not see %q", want)
		}
	}
	if recorded := struct{ Cgroup string }{}; json.Unmarshal(inst.Data, &recorded) != nil || recorded.Cgroup != "/sys/fs/cgroup"+systemd.Show(t, unit, "ControlGroup")["ControlGroup"] {
		t.Errorf("recorded is %s", inst.Data)
	}
	next := genericservice.New()
	must(t, next.Adopt(t.Context(), inst))
	must(t, next.LooksAlive(t.Context(), inst))
	must(t, next.IsAlive(t.Context(), inst))
	if now := mainPID(t, unit); now != main {
		t.Errorf("the unit has noticed a new agent: process %s instead of %s", now, main)
	}
	second := instance(t, unit)
	second.Resource.UID = "another"
	if err := next.Online(t.Context(), second); err == nil || !strings.Contains(err.Error(), "was not started by this resource") {
		t.Errorf("a second resource of the unit: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed, err := next.Watch(ctx, inst)
	must(t, err)
	guest.Run(t, "systemctl", "restart", unit)
	must(t, next.LooksAlive(t.Context(), inst))
	cancel()
	if err, open := <-failed; open {
		t.Errorf("a restart by hand counts as a failure: %v", err)
	}
	began = time.Now()
	must(t, next.Offline(t.Context(), inst))
	t.Logf("offline after %v, of which a second is the unit's own", time.Since(began))
	asBefore(t, unit, "always")
}

// TestGuestEndIsSeen: what ends is told at once, with how it ended, over a restart of systemd itself, and systemd does not start it again.
func TestGuestEndIsSeen(t *testing.T) {
	systemd.Require(t)
	const unit = "shop-web.service"
	systemd.Units(t, map[string]string{unit: stubborn})
	typ, inst := genericservice.New(), instance(t, unit)
	must(t, typ.Online(t.Context(), inst))
	failed, err := typ.Watch(t.Context(), inst)
	must(t, err)
	if guest.AtLength() {
		guest.Run(t, "systemctl", "daemon-reexec")
		must(t, typ.LooksAlive(t.Context(), inst))
		select {
		case err := <-failed:
			t.Fatalf("a new systemd counts as a failure: %v", err)
		case <-time.After(time.Second):
		}
	}
	guest.Run(t, "kill", "-KILL", mainPID(t, unit))
	began := time.Now()
	err = <-failed
	t.Logf("seen after %v: %v", time.Since(began), err)
	if err == nil || !strings.Contains(err.Error(), "signal") {
		t.Errorf("the watch says %v", err)
	}
	must(t, typ.Terminate(t.Context(), inst))
	time.Sleep(time.Second)
	asBefore(t, unit, "always")
}

// TestGuestStartFails: a unit that does not start ends in an error that says why, within its time, and leaves nothing.
func TestGuestStartFails(t *testing.T) {
	systemd.Require(t)
	guest.RequireFull(t)
	cases := map[string]struct{ content, want string }{
		"exits":      {"[Service]\nExecStart=/bin/sh -c 'exit 3'\n", "failed, exit-code (status 3)"},
		"no-program": {"[Service]\nType=exec\nExecStart=/no/such/program\n", "did not start"},
		"oneshot":    {"[Service]\nType=oneshot\nExecStart=/bin/true\n", "RemainAfterExit=yes"},
		"condition":  {"[Unit]\nConditionPathExists=/no/such/file\n[Service]\nExecStart=/bin/sleep 1000\n", "a condition in its file is not met"},
		"dependency": {"[Unit]\nRequires=no-such.service\nAfter=no-such.service\n[Service]\nExecStart=/bin/sleep 1000\n", "no-such.service"},
		"never":      {"[Service]\nType=notify\nExecStart=/bin/sleep 1000\n", "deadline exceeded"},
	}
	units := map[string]string{}
	for name, tc := range cases {
		units["fails-"+name+".service"] = tc.content + "[Service]\nRestart=on-failure\n"
	}
	systemd.Units(t, units)
	var together sync.WaitGroup
	typ := genericservice.New()
	for name, tc := range cases {
		together.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if name == "never" {
				ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
			}
			defer cancel()
			if err := typ.Online(ctx, instance(t, "fails-"+name+".service")); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: Online() = %v, want %q", name, err, tc.want)
			}
		})
	}
	together.Wait()
	guest.Run(t, "systemctl", "daemon-reload")
	for name := range cases {
		asBefore(t, "fails-"+name+".service", "on-failure")
	}
}

// TestGuestRefused: what would start outside of the cluster's rules, or cannot start, is refused before anything is changed.
func TestGuestRefused(t *testing.T) {
	systemd.Require(t)
	const good = "[Service]\nExecStart=/bin/sleep 1000\n"
	systemd.Link(t, systemd.Files+"/enabled.service", systemd.Files, "multi-user.target.wants/enabled.service")
	systemd.Link(t, systemd.Files+"/runtime.service", systemd.UntilBoot, "multi-user.target.wants/runtime.service")
	systemd.Link(t, systemd.Files+"/fine.service", systemd.Files, "other-name.service")
	systemd.Link(t, "/dev/null", systemd.UntilBoot, "masked.service")
	const install = "[Install]\nWantedBy=multi-user.target\n"
	systemd.Units(t, map[string]string{
		"fine.service": good + install, "instance@.service": good, "enabled.service": good + install, "runtime.service": good + install,
		"pulled.service": good, "puller.service": "[Unit]\nRequires=pulled.service\n" + good,
		"socketed.service": good, "socketed.socket": "[Socket]\nListenStream=/run/socketed\n", "broken.service": "[Service]\nType=simple\n",
	})
	guest.Run(t, "systemctl", "start", "puller.service", "socketed.socket")
	typ := genericservice.New()
	for unit, want := range map[string]string{
		"fine.service": "", "instance@one.service": "",
		"enabled.service": "systemctl disable enabled.service", "runtime.service": "systemctl disable --runtime runtime.service",
		"pulled.service":     "puller.service starts pulled.service, outside of the cluster's rules: systemctl disable --now puller.service",
		"socketed.service":   "systemctl disable --now socketed.socket",
		"broken.service":     "systemd cannot use the file of broken.service",
		"missing.service":    "this host has no unit missing.service",
		"masked.service":     "systemctl unmask masked.service",
		"other-name.service": "another name of fine.service",
		"instance@.service":  "is a template",
	} {
		inst := instance(t, unit)
		found := typ.Check(t.Context(), inst.Spec)
		if want == "" {
			if len(found) != 0 {
				t.Errorf("%s: %+v", unit, found)
			}
			continue
		}
		if len(found) != 1 || !strings.Contains(found[0].Message, want) {
			t.Errorf("%s: %+v, want %q", unit, found, want)
		}
		if !guest.AtLength() {
			continue
		}
		if err := typ.Online(t.Context(), inst); err == nil || len(found) == 1 && err.Error() != found[0].Message {
			t.Errorf("%s: Online() = %v, and Check() says %+v", unit, err, found)
		}
		if len(inst.Data) != 0 {
			t.Errorf("%s: something was begun: %s", unit, inst.Data)
		}
	}
}

// TestGuestManyAtOnce: many units that start together share what systemd has to read.
func TestGuestManyAtOnce(t *testing.T) {
	systemd.Require(t)
	guest.RequireFull(t)
	systemd.Units(t, map[string]string{"many@.service": "[Service]\nType=exec\nExecStart=/bin/sleep 100000\nRestart=always\n"})
	const many = 10
	typ, began := genericservice.New(), time.Now()
	results := make(chan error, many)
	insts := make([]*resourcetype.Instance, many)
	for i := range many {
		insts[i] = instance(t, fmt.Sprintf("many@%d.service", i))
		go func() { results <- typ.Online(t.Context(), insts[i]) }()
	}
	for range many {
		must(t, <-results)
	}
	t.Logf("%d units online after %v", many, time.Since(began))
	for i := range many {
		go func() { results <- typ.Offline(t.Context(), insts[i]) }()
	}
	for range many {
		must(t, <-results)
	}
	for i := range many {
		asBefore(t, fmt.Sprintf("many@%d.service", i), "always")
	}
}
