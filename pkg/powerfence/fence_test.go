package powerfence

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const plain = `<resource-agent name="fence_x"><parameters><parameter name="action" required="1"/><parameter name="ip" required="1"/>
<parameter name="password" required="0"/></parameters><actions><action name="on" automatic="0"/><action name="off"/><action name="reboot"/>
<action name="status"/></actions></resource-agent>`

// device is a fake of an agent with the device behind it.
type device struct {
	// answers are what the actions end with; a missing one succeeds, and status tells the power.
	answers map[string]output
	errs    map[string]error
	on      bool
	// slow is how many looks it takes to go off; deaf that off does nothing.
	slow  int
	deaf  bool
	acts  []string
	input string
}

func (d *device) run(ctx context.Context, path string, input []byte) (output, error) {
	first, rest, _ := strings.Cut(string(input), "\n")
	action := strings.TrimPrefix(first, "action=")
	if action == "metadata" {
		return output{stdout: plain}, nil
	}
	d.acts, d.input = append(d.acts, filepath.Base(path)+" "+action), rest
	out, fixed := d.answers[action]
	if err := d.errs[action]; err != nil {
		return out, err
	}
	switch {
	case action == "off" && !d.deaf:
		d.on = false
	case action == "on":
		d.on = true
	case action == "status" && !fixed:
		if d.on || d.slow > 0 {
			d.slow--
			return output{code: codeOn, stdout: "Status: ON\n"}, nil
		}
		return output{code: codeOff, stdout: "Status: OFF\n"}, nil
	}
	return out, ctx.Err()
}

// driverDir makes a directory with programs that the fake runner never runs.
func driverDir(t *testing.T, names ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("fence agents have to belong to root")
	}
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func fake(t *testing.T, d *device, names ...string) *Fencer {
	f := New(driverDir(t, names...))
	f.run, f.pause = d.run, time.Millisecond
	return f
}

func level(n int, driver string) Level {
	return Level{Number: n, Driver: driver, Timeout: 200 * time.Millisecond, Parameters: []Parameter{{"ip", "10.0.0.1"}}, Secrets: []Parameter{{"password", "s3cret"}}}
}

func always() error { return nil }

func TestOff(t *testing.T) {
	for name, tc := range map[string]struct {
		device device
		want   string // part of the error; "" for off
		acts   string
	}{
		"off":                            {device{on: true}, "", "off status"},
		"takes its time":                 {device{on: true, slow: 3}, "", "off status status status status"},
		"claims and lies":                {device{on: true, deaf: true}, "not confirmed: its status is on", ""},
		"fails":                          {device{on: true, deaf: true, answers: map[string]output{"off": {code: 1, stderr: "no route"}}}, "no route; then its status is on", "off status"},
		"fails, and is off all the same": {device{on: true, answers: map[string]output{"off": {code: 1}}}, "", "off status"},
		"status unknown":                 {device{on: true, answers: map[string]output{"status": {code: 1, stderr: "boom"}}}, "not confirmed: action status ended with code 1", ""},
		"status code without words":      {device{on: true, answers: map[string]output{"status": {code: codeOff}}}, "not confirmed", ""},
		"status words without code":      {device{on: true, answers: map[string]output{"status": {stdout: "Status: OFF"}}}, "not confirmed", ""},
		"status cannot be asked":         {device{on: true, errs: map[string]error{"status": errors.New("gone")}}, "not confirmed: action status: gone", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := tc.device
			r, err := fake(t, &d, "fence_x").Off(t.Context(), []Level{level(1, "fence_x")}, always)
			switch {
			case tc.want == "" && (err != nil || r.Level != 1 || r.Driver != "fence_x"):
				t.Errorf("%+v, %v", r, err)
			case tc.want != "" && (err == nil || r.Level != 0 || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%+v, %v; want %q", r, err, tc.want)
			}
			if got := strings.ReplaceAll(strings.Join(d.acts, " "), "fence_x ", ""); tc.acts != "" && got != tc.acts {
				t.Errorf("acts %s, want %s", got, tc.acts)
			}
			if d.input != "ip=10.0.0.1\npassword=s3cret\n" {
				t.Errorf("the agent got %q", d.input)
			}
		})
	}
}

// TestLevels: the next level is tried when one fails, none after one that worked, and none when the reason has gone.
func TestLevels(t *testing.T) {
	d := &device{on: true}
	f := fake(t, d, "fence_x")
	levels := []Level{level(1, "fence_missing"), level(2, "fence_x"), level(3, "fence_y")}
	r, err := f.Off(t.Context(), levels, always)
	if err != nil || r.Level != 2 || len(r.Failures) != 1 || !strings.Contains(r.Failures[0], "level 1: driver fence_missing is not installed") {
		t.Errorf("%+v, %v", r, err)
	}
	d.acts = nil
	asked := 0
	_, err = f.Off(t.Context(), levels, func() error {
		if asked++; asked > 1 {
			return errors.New("it is back")
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "before level 2: it is back") || len(d.acts) > 0 {
		t.Errorf("%v, acts %v", err, d.acts)
	}
	if _, err := f.Off(t.Context(), nil, always); err == nil {
		t.Error("no level at all was a success")
	}
}

// TestSecretsStayHidden: what an agent says never carries a credential on.
func TestSecretsStayHidden(t *testing.T) {
	d := &device{on: true, deaf: true, answers: map[string]output{"off": {code: 1, stderr: "login with s3cret failed"}, "on": {code: 1, stderr: "s3cret"}}}
	f := fake(t, d, "fence_x")
	l := level(1, "fence_x")
	_, err := f.Off(t.Context(), []Level{l}, always)
	for _, err := range []error{err, f.On(t.Context(), &l)} {
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "***") {
			t.Errorf("said %v", err)
		}
	}
}

func TestCheck(t *testing.T) {
	d := &device{}
	f := fake(t, d, "fence_x", "fence_writable")
	if err := os.Chmod(filepath.Join(f.dirs[0], "fence_writable"), 0o757); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		level Level
		want  string
	}{
		"usable":            {level(1, "fence_x"), ""},
		"no agent's name":   {level(1, "../bin/sh"), "fence_ and then"},
		"not there":         {level(1, "fence_nowhere"), "not installed"},
		"others may change": {level(1, "fence_writable"), "changed by others"},
		"unknown parameter": {Level{Driver: "fence_x", Parameters: []Parameter{{"ip", "x"}, {"ipp", "x"}}}, "knows no parameter ipp; it has ip, password"},
		"needed parameter":  {Level{Driver: "fence_x"}, "needs parameter ip"},
		"another action":    {Level{Driver: "fence_x", Parameters: []Parameter{{"action", "on"}}}, "not allowed"},
		"a debug file":      {Level{Driver: "fence_x", Parameters: []Parameter{{"debug_file", "/tmp/x"}}}, "not allowed"},
		"a script":          {Level{Driver: "fence_x", Parameters: []Parameter{{"password_script", "/bin/sh"}}}, "not allowed"},
		"two lines":         {Level{Driver: "fence_x", Parameters: []Parameter{{"ip", "x\naction=on"}}}, "line break"},
		"given twice":       {Level{Driver: "fence_x", Parameters: []Parameter{{"ip", "x"}}, Secrets: []Parameter{{"ip", "y"}}}, "given twice"},
	} {
		t.Run(name, func(t *testing.T) {
			err := f.Check(t.Context(), &tc.level)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// TestKilled: an agent that hangs is killed with its children, and what it leaves open is not waited for.
func TestKilled(t *testing.T) {
	dir := driverDir(t)
	pidFile := filepath.Join(dir, "pid")
	script := fmt.Sprintf("#!/bin/sh\nsleep 1000 &\necho $! > %s\nwait\n", pidFile)
	if err := os.WriteFile(filepath.Join(dir, "fence_hangs"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := execute(ctx, filepath.Join(dir, "fence_hangs"), nil)
		ended <- err
	}()
	var pid int
	for deadline := time.Now().Add(20 * time.Second); pid == 0; time.Sleep(time.Millisecond) {
		if raw, err := os.ReadFile(pidFile); err == nil {
			_, _ = fmt.Sscan(string(raw), &pid)
		}
		if time.Now().After(deadline) {
			t.Fatal("the agent has not started")
		}
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("an agent that was killed has no error")
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		// A child that nobody reaps is dead all the same.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if unix.Kill(pid, 0) != nil || err != nil || strings.Contains(string(stat), ") Z ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d of the agent lives on", pid)
		}
	}
}
