package genericapplication

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
	"github.com/quorate/quorate/pkg/pidfd"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/outlog"
)

// instance makes an instance whose parameters are the given JSON.
func instance(t *testing.T, parameters string) *resourcetype.Instance {
	t.Helper()
	return &resourcetype.Instance{
		Type:     Name,
		Resource: resourcetype.Identity{UID: "11111111-2222", Namespace: "demo", Name: "app"},
		Group:    resourcetype.Identity{UID: "33333333-4444", Namespace: "demo", Name: "shop"},
		Cluster:  "test", NodeName: "node-a", Node: 1, Epoch: 1,
		Spec:       json.RawMessage(`{"groupName":"shop","type":"GenericApplication","genericApplication":` + parameters + `}`),
		CgroupRoot: cgrouptest.Root(t), RunDir: t.TempDir(),
	}
}

// shell is the parameters of a shell script, with more members appended.
func shell(script string, more ...string) string {
	command, _ := json.Marshal([]string{"/bin/sh", "-c", script})
	return `{"command":` + string(command) + strings.Join(append([]string{""}, more...), ",") + `}`
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// alive lists the processes of the instance.
func alive(t *testing.T, inst *resourcetype.Instance) []int {
	t.Helper()
	cg, _, err := cgroupOf(inst)
	must(t, err)
	pids, err := cg.Processes()
	must(t, err)
	return pids
}

func mainPID(t *testing.T, inst *resourcetype.Instance) int {
	t.Helper()
	_, r, err := cgroupOf(inst)
	must(t, err)
	return r.PID
}

// noCgroup fails if anything of the instance is left.
func noCgroup(t *testing.T, inst *resourcetype.Instance) {
	t.Helper()
	cg, _, err := cgroupOf(inst)
	must(t, err)
	if _, err := os.Stat(cg.Path()); !os.IsNotExist(err) {
		t.Errorf("the cgroup is left: %v, processes %v", err, alive(t, inst))
	}
}

// TestLife takes a tree of processes through a whole life.
func TestLife(t *testing.T) {
	app, inst := New(), instance(t, shell(`echo "$QUORATE_GROUP/$QUORATE_RESOURCE on $QUORATE_NODE says $WORD in $(pwd)"; sleep 1000 & sleep 1000`,
		`"env":[{"name":"WORD","value":"hello"}]`, `"workingDir":"/usr"`))
	var saved []string
	inst.SaveData = func(v any) error {
		raw, err := json.Marshal(v)
		saved = append(saved, string(raw))
		return err
	}
	must(t, app.Online(t.Context(), inst))
	if n := len(alive(t, inst)); n != 3 {
		t.Errorf("%d processes, want 3", n)
	}
	if len(saved) != 2 || strings.Contains(saved[0], "pid") || !strings.Contains(saved[1], "pid") {
		t.Errorf("saved %v, want the intent first (O8), then the process", saved)
	}
	must(t, app.LooksAlive(t.Context(), inst))
	must(t, app.IsAlive(t.Context(), inst))
	out, err := os.ReadFile(outlog.Path(inst))
	if want := "shop/app on node-a says hello in /usr\n"; err != nil || string(out) != want {
		t.Errorf("output %q, %v; want %q", out, err, want)
	}
	must(t, New().Adopt(t.Context(), inst))
	must(t, app.Offline(t.Context(), inst))
	noCgroup(t, inst)
	must(t, app.Offline(t.Context(), inst))
	must(t, app.Terminate(t.Context(), inst))
	if app.LooksAlive(t.Context(), inst) == nil || New().Adopt(t.Context(), inst) == nil {
		t.Error("a process that is gone looks alive")
	}
}

// TestStop ends processes that behave in different ways.
func TestStop(t *testing.T) {
	tests := map[string]struct {
		script, stop string
		atMost       time.Duration
		atLeast      time.Duration
		want         string // in the output
	}{
		"by default SIGTERM": {script: `trap 'echo TERM; exit' TERM; echo up; while :; do sleep 0.01; done`, atMost: 2 * time.Second, want: "up\nTERM\n"},
		"another signal": {
			script: `trap 'echo INT; exit' INT; echo up; while :; do sleep 0.01; done`, stop: `"stop":{"signal":"SIGINT"}`,
			atMost: 2 * time.Second, want: "up\nINT\n",
		},
		"stubborn": {
			script: `trap '' TERM; echo up; while :; do sleep 0.01; done`, stop: `"stop":{"timeout":"200ms"}`,
			atLeast: 200 * time.Millisecond, atMost: 2 * time.Second, want: "up\n",
		},
		"children that stay": {script: `setsid sleep 1000 & trap 'echo TERM; exit' TERM; echo up; while :; do sleep 0.01; done`, atMost: 2 * time.Second, want: "up\nTERM\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			more := []string{}
			if tc.stop != "" {
				more = append(more, tc.stop)
			}
			app, inst := New(), instance(t, shell(tc.script, more...))
			must(t, app.Online(t.Context(), inst))
			for range 500 {
				if out, err := os.ReadFile(outlog.Path(inst)); err == nil && strings.Contains(string(out), "up") {
					break
				}
				time.Sleep(time.Millisecond)
			}
			begin := time.Now()
			must(t, app.Offline(t.Context(), inst))
			if took := time.Since(begin); took < tc.atLeast || took > tc.atMost {
				t.Errorf("Offline() took %v, want %v to %v", took, tc.atLeast, tc.atMost)
			}
			noCgroup(t, inst)
			if out, err := os.ReadFile(outlog.Path(inst)); err != nil || string(out) != tc.want {
				t.Errorf("output %q, %v; want %q", out, err, tc.want)
			}
		})
	}
}

// TestStartFails: a start that does not succeed leaves nothing behind and says why.
func TestStartFails(t *testing.T) {
	tests := map[string]struct{ parameters, want string }{
		"no such program":     {`{"command":["/no/such/program"]}`, "starting /no/such/program"},
		"ends at once":        {shell(`echo oh dear >&2; exit 3`), "exited with status 3 before it was ready; its output ends with: oh dear"},
		"is killed":           {shell(`kill -9 $$`), "was ended by SIGKILL"},
		"never ready":         {shell(`sleep 1000`, `"health":{"isAlive":{"tcp":{"port":1}}}`), "is not ready"},
		"OneShot fails":       {shell(`exit 4`, `"mode":"OneShot"`), "exited with status 4"},
		"secret":              {shell(`sleep 1000`, `"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]`), "env A of demo/"},
		"no command":          {`{"command":[]}`, "no genericApplication.command"},
		"ends while it waits": {shell(`sleep 0.1; exit 5`, `"health":{"looksAlive":{"exec":{"command":["/bin/false"]}}}`), "exited with status 5"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			app, inst := New(), instance(t, tc.parameters)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := app.Online(ctx, inst)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Online() = %v, want %q in it", err, tc.want)
			}
			noCgroup(t, inst)
		})
	}
}

// TestLeaseO8 asks for the lease right before the start.
func TestLeaseO8(t *testing.T) {
	app, inst := New(), instance(t, shell("sleep 1000"))
	inst.MayAct = func() error { return fmt.Errorf("no quorum") }
	if err := app.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("Online() = %v, want the lease's word", err)
	}
	noCgroup(t, inst)
}

// TestWatch sees the end of a process within milliseconds, of its own child and of one that it has adopted.
func TestWatch(t *testing.T) {
	for name, adopted := range map[string]bool{"child": false, "adopted": true} {
		t.Run(name, func(t *testing.T) {
			app, inst := New(), instance(t, shell("sleep 1000 & wait"))
			must(t, app.Online(t.Context(), inst))
			want := "was ended by SIGKILL"
			watcher := app
			if adopted {
				watcher, want = New(), "ended"
			}
			failed, err := watcher.Watch(t.Context(), inst)
			must(t, err)
			select {
			case err := <-failed:
				t.Fatalf("a process that runs has failed: %v", err)
			case <-time.After(20 * time.Millisecond):
			}
			p, err := os.FindProcess(mainPID(t, inst))
			must(t, err)
			begin := time.Now()
			must(t, p.Kill())
			err = <-failed
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("the end was seen after %v", took)
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the watch says %v, want %q", err, want)
			}
			if err := watcher.LooksAlive(t.Context(), inst); err == nil {
				t.Error("a dead process looks alive")
			}
			if _, open := <-failed; open {
				t.Error("the channel is not closed")
			}
			// A restart removes the child that is left.
			must(t, app.Online(t.Context(), inst))
			if n := len(alive(t, inst)); n != 2 {
				t.Errorf("%d processes after a restart, want 2", n)
			}
			must(t, app.Terminate(t.Context(), inst))
			noCgroup(t, inst)
		})
	}
}

func TestWatchEndsWithContext(t *testing.T) {
	app, inst := New(), instance(t, shell("sleep 1000"))
	must(t, app.Online(t.Context(), inst))
	ctx, cancel := context.WithCancel(t.Context())
	failed, err := app.Watch(ctx, inst)
	must(t, err)
	cancel()
	if err, open := <-failed; open {
		t.Errorf("the watch says %v at the end of its context", err)
	}
	must(t, app.Terminate(t.Context(), inst))
}

func TestOneShot(t *testing.T) {
	app, inst := New(), instance(t, shell("sleep 0.1; echo done", `"mode":"OneShot"`))
	must(t, app.Online(t.Context(), inst))
	out, err := os.ReadFile(outlog.Path(inst))
	if err != nil || string(out) != "done\n" {
		t.Errorf("output %q, %v", out, err)
	}
	must(t, app.IsAlive(t.Context(), inst))
	must(t, New().Adopt(t.Context(), inst))
	must(t, app.Offline(t.Context(), inst))
	noCgroup(t, inst)
}

// TestReusedPID: a record whose process id belongs to another process by now is not adopted, and the other one is left alone.
func TestReusedPID(t *testing.T) {
	app, inst := New(), instance(t, shell("sleep 1000"))
	other, otherInst := New(), instance(t, shell("sleep 1000"))
	must(t, other.Online(t.Context(), otherInst))
	pid := mainPID(t, otherInst)
	cg, _, err := cgroupOf(inst)
	must(t, err)
	started, err := pidfd.StartTime(pid)
	must(t, err)
	for _, r := range []record{{Cgroup: cg.Path(), PID: pid, StartTime: 1}, {Cgroup: cg.Path(), PID: pid, StartTime: started}} {
		must(t, inst.Save(r))
		if err := app.Adopt(t.Context(), inst); err == nil {
			t.Errorf("%+v was adopted", r)
		}
		must(t, app.Offline(t.Context(), inst))
		must(t, app.Terminate(t.Context(), inst))
	}
	must(t, other.LooksAlive(t.Context(), otherInst))
	must(t, other.Terminate(t.Context(), otherInst))
}

// TestNetworkName runs a process in the environment of its virtual server.
func TestNetworkName(t *testing.T) {
	app := New()
	inst := instance(t, shell(`hostname; echo "$QUORATE_NETWORK_NAME"; ls /tmp /run; touch /tmp/mine /run/mine; echo "$1"; sleep 1000`, `"useNetworkName":true`))
	inst.NetworkName = "sales"
	must(t, app.Online(t.Context(), inst))
	var out []byte
	for range 500 {
		out, _ = os.ReadFile(outlog.Path(inst))
		if strings.Count(string(out), "\n") >= 6 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if want := "sales\nsales\n/run:\n\n/tmp:\n\n"; string(out) != want {
		t.Errorf("output %q, want %q", out, want)
	}
	if _, err := os.Stat("/run/mine"); err == nil {
		t.Error("the process sees the host's /run")
	}
	must(t, app.Offline(t.Context(), inst))
	noCgroup(t, inst)
}

// TestNetworkNameOfChecks: a check sees what the process sees, also after a restart of the agent, and not what is on the host.
func TestNetworkNameOfChecks(t *testing.T) {
	check := `"useNetworkName":true,"workingDir":"/tmp","health":{"isAlive":{"exec":{"command":["/bin/sh","-c","test \"$(hostname)\" = sales && test -e /run/mine && test -e mine"]}}}`
	app, inst := New(), instance(t, shell(`sleep 0.1; touch /tmp/mine /run/mine; exec sleep 1000`, check))
	inst.NetworkName = "sales"
	must(t, app.Online(t.Context(), inst))
	must(t, New().Adopt(t.Context(), inst))
	must(t, New().IsAlive(t.Context(), inst))
	must(t, app.Offline(t.Context(), inst))
	if err := app.IsAlive(t.Context(), inst); err == nil {
		t.Error("what is offline is alive")
	}
	noCgroup(t, inst)
}

func TestCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for parameters, want := range map[string]int{
		shell("true"):                      0,
		`{"command":["/not/mounted/yet"]}`: 0,
		`{"command":["` + file + `"]}`:     1,
		`{"command":["relative"]}`:         1,
	} {
		spec := `{"type":"GenericApplication","genericApplication":` + parameters + `}`
		if got := New().Check(t.Context(), json.RawMessage(spec)); len(got) != want {
			t.Errorf("Check(%s) = %v, want %d problems", spec, got, want)
		}
	}
}

// counting is a script that notes each instance that starts.
func counting(file string) string {
	return "echo $$ >> " + file + "; exec sleep 1000"
}

func started(t *testing.T, file string) []int {
	t.Helper()
	raw, _ := os.ReadFile(file)
	var pids []int
	for field := range strings.FieldsSeq(string(raw)) {
		pid, err := strconv.Atoi(field)
		must(t, err)
		pids = append(pids, pid)
	}
	return pids
}

// TestVariablesOfSecrets: the process has what its Secret says, and so have its checks, which are told nothing themselves.
func TestVariablesOfSecrets(t *testing.T) {
	const secret = `"env":[{"name":"A","value":"a"},{"name":"PASSWORD","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]`
	app, inst := New(), instance(t, shell(`test "$PASSWORD" = "two words" && exec sleep 1000`, secret,
		`"health":{"isAlive":{"exec":{"command":["/bin/sh","-c","test \"$A$PASSWORD\" = 'atwo words'"]}}}`))
	inst.Variables = map[string]string{"PASSWORD": "two words"}
	inst.SaveData = func(v any) error {
		raw, err := json.Marshal(v)
		inst.Data = raw
		return err
	}
	must(t, app.Online(t.Context(), inst))
	t.Cleanup(func() { must(t, app.Terminate(context.Background(), inst)) })
	inst.Variables = nil
	must(t, app.IsAlive(t.Context(), inst))
	if strings.Contains(string(inst.Data), "words") {
		t.Errorf("the run state has it: %s", inst.Data)
	}
}
