package genericapplication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// Environment variables that make the test binary play another part.
const (
	roleAgent  = "QUORATE_TEST_AGENT"  // an agent that dies: the number of saves that it survives, or -1
	roleServer = "QUORATE_TEST_SERVER" // a web server that is slow to start: its port
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(roleAgent) != "":
		playAgent()
	case os.Getenv(roleServer) != "":
		playServer()
	default:
		os.Exit(m.Run())
	}
}

// playAgent brings the instance online and is killed at the moment that the test has chosen.
func playAgent() {
	survive, err := strconv.Atoi(os.Getenv(roleAgent))
	if err != nil {
		panic(err)
	}
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var s struct{ Spec, CgroupRoot, RunDir, UID, Record string }
	if err := json.Unmarshal(raw, &s); err != nil {
		panic(err)
	}
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }
	inst := &resourcetype.Instance{
		Resource: resourcetype.Identity{UID: s.UID, Namespace: "demo", Name: "app"}, Spec: json.RawMessage(s.Spec),
		CgroupRoot: s.CgroupRoot, RunDir: s.RunDir,
	}
	inst.SaveData = func(v any) error {
		if survive == 0 {
			die()
		}
		survive--
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return os.WriteFile(s.Record, data, 0o600)
	}
	if err := New().Online(context.Background(), inst); err != nil {
		panic(err)
	}
	die()
}

// TestAgentKilled kills the agent at each moment of a start. The process survives it, and whatever the next agent does, there is
// never more than one instance.
func TestAgentKilled(t *testing.T) {
	for survived, wantAdopted := range map[int]bool{0: false, 1: false, 2: true} {
		t.Run(fmt.Sprintf("after %d saves", survived), func(t *testing.T) {
			dir := t.TempDir()
			pids := filepath.Join(dir, "pids")
			inst := instance(t, shell(counting(pids)))
			record := filepath.Join(dir, "record")
			raw, err := json.Marshal(map[string]string{
				"Spec": string(inst.Spec), "CgroupRoot": inst.CgroupRoot, "RunDir": inst.RunDir, "UID": inst.Resource.UID, "Record": record,
			})
			must(t, err)
			file := filepath.Join(dir, "instance")
			must(t, os.WriteFile(file, raw, 0o600))
			agent := exec.Command("/proc/self/exe", file)
			agent.Env = append(os.Environ(), roleAgent+"="+strconv.Itoa(survived))
			agent.Stderr = os.Stderr
			if err := agent.Run(); err == nil || agent.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the agent ended with %v", err)
			}
			inst.Data, _ = os.ReadFile(record)
			time.Sleep(50 * time.Millisecond)
			app := New()
			err = app.Adopt(t.Context(), inst)
			if (err == nil) != wantAdopted {
				t.Errorf("Adopt() = %v, want success %v", err, wantAdopted)
			}
			if err != nil {
				must(t, app.Online(t.Context(), inst))
			}
			if n := alive(t, inst); len(n) != 1 || n[0] != mainPID(t, inst) {
				t.Errorf("processes %v, want only %d", n, mainPID(t, inst))
			}
			for _, pid := range started(t, pids) {
				// One that nobody has reaped yet is not there any more.
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				if pid != mainPID(t, inst) && err == nil && !strings.Contains(string(stat), ") Z ") {
					t.Errorf("instance %d is still there: %s", pid, stat)
				}
			}
			must(t, app.Terminate(t.Context(), inst))
			noCgroup(t, inst)
		})
	}
}

const serverStart = 150 * time.Millisecond

// playServer is a web server that needs a while to start, and becomes ill when told so.
func playServer() {
	time.Sleep(serverStart)
	ill := false
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if ill {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/ill", func(http.ResponseWriter, *http.Request) { ill = true })
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv(roleServer), nil)
	_, _ = fmt.Fprintln(os.Stderr, err) // a panic's stack may be longer than what is told of the output
	os.Exit(2)
}

// TestReadiness brings a server online exactly when it serves, and notices when it no longer does.
func TestReadiness(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	const port = 18743
	for name, probe := range map[string]string{
		"http": fmt.Sprintf(`{"http":{"port":%d,"path":"/healthz"}}`, port),
		"tcp":  fmt.Sprintf(`{"tcp":{"port":%d}}`, port),
		"exec": fmt.Sprintf(`{"exec":{"command":["/bin/sh","-c","echo > /dev/tcp/127.0.0.1/%d || exec /usr/bin/env -i /bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d'"]}}`, port, port),
	} {
		t.Run(name, func(t *testing.T) {
			app := New()
			inst := instance(t, fmt.Sprintf(`{"command":[%q],"env":[{"name":%q,"value":"%d"}],"health":{"isAlive":%s}}`, self, roleServer, port, probe))
			begin := time.Now()
			must(t, app.Online(t.Context(), inst))
			if took := time.Since(begin); took < serverStart {
				t.Errorf("online after %v, before the server serves", took)
			}
			must(t, app.IsAlive(t.Context(), inst))
			if name == "http" {
				resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/ill", port))
				must(t, err)
				_ = resp.Body.Close()
				if app.IsAlive(t.Context(), inst) == nil || app.LooksAlive(t.Context(), inst) != nil {
					t.Error("an ill server passes its thorough check, or fails the quick one, which it does not have")
				}
				if err := New().Adopt(t.Context(), inst); err == nil {
					t.Error("an ill server was adopted")
				}
			}
			must(t, app.Terminate(t.Context(), inst))
			if err := app.IsAlive(t.Context(), inst); err == nil || errors.Is(err, context.Canceled) {
				t.Errorf("IsAlive() of a killed server = %v", err)
			}
		})
	}
}
