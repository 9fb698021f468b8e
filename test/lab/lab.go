// Package lab makes simulated hosts on one machine and breaks them: the bed of the demo, of end-to-end tests and of benchmarks.
//
// [Up] starts a lab; its methods do what the command quorate-lab does. Hosts are called node-a, node-b and so on, and there is a
// client host. See docs/lab.md for what a host has.
package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quorate/quorate/test/lab/keeper"
	"github.com/quorate/quorate/test/lab/protocol"
)

// Options say what kind of lab to make.
type Options = protocol.Options

// Progress is one line of the story that [Up] tells.
type Progress = protocol.Progress

// Status is what there is to know of a lab.
type Status = protocol.Status

// KillReport tells how a host's power was cut.
type KillReport = protocol.KillReport

// Instant is a moment on the wall clock and on CLOCK_MONOTONIC, which the whole lab shares.
type Instant = protocol.Instant

// APIServerStatus is how one API server fares.
type APIServerStatus = protocol.APIServerStatus

// HostDown is the state of a host without power.
const HostDown = protocol.HostDown

// Client is the name of the host from which services are used.
const Client = protocol.Client

// Lab is a running lab. Its methods may be called from several goroutines.
type Lab struct {
	layout protocol.Layout
	http   *http.Client
}

// ErrNotRunning says that there is no lab of the name.
var ErrNotRunning = errors.New("no such lab is running: start it with quorate-lab up")

// Up starts a lab and waits until it is up, telling the story as it goes; tell may be nil. If that fails, or ctx ends before, nothing is
// left of it. It needs root.
func Up(ctx context.Context, o Options, tell func(Progress)) (*Lab, error) {
	o = o.WithDefaults()
	layout, err := protocol.NewLayout(o.Name)
	if err != nil {
		return nil, err
	}
	if err := complete(&o); err != nil {
		return nil, err
	}
	lock, err := keeper.Lock(layout)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	// A keeper that was killed may have left something of an earlier lab.
	if err := removeLeftovers(ctx, layout); err != nil {
		return nil, fmt.Errorf("clean up after an earlier lab: %w", err)
	}
	l := attach(layout)
	if err := startKeeper(layout, o, lock); err != nil {
		return nil, err
	}
	lock.Close() // the keeper has it
	if err := l.follow(ctx, tell); err != nil {
		log := lastLines(layout.DaemonLog())
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("lab %s did not come up: %w%s", layout.Name, err, log), l.Down(ending))
	}
	return l, nil
}

// Attach finds a running lab by name; the default one if name is empty.
func Attach(ctx context.Context, name string) (*Lab, error) {
	layout, err := protocol.NewLayout(name)
	if err != nil {
		return nil, err
	}
	l := attach(layout)
	if _, err := l.Status(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

func attach(layout protocol.Layout) *Lab {
	return &Lab{layout: layout, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", layout.Socket())
		},
	}}}
}

func removeLeftovers(ctx context.Context, layout protocol.Layout) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return keeper.CleanFiles(ctx, layout)
}

// complete finds the directories that the caller did not name and checks that they hold what is needed.
func complete(o *Options) error {
	if os.Geteuid() != 0 {
		return errors.New("the lab makes namespaces, mounts and loop devices: run it as root")
	}
	if o.Hosts < 1 || o.Hosts > 26 {
		return fmt.Errorf("hosts: %d: use 1 to 26", o.Hosts)
	}
	if err := checkAPI(o); err != nil {
		return err
	}
	var err error
	for _, dir := range []struct {
		value              *string
		environment, below string
	}{
		{&o.BinDir, "QUORATE_BIN", "bin"},
		{&o.ControlPlane, "KUBEBUILDER_ASSETS", "bin/controlplane"},
		{&o.ConfigDir, "QUORATE_CONFIG", "config"},
	} {
		if *dir.value == "" {
			*dir.value = os.Getenv(dir.environment)
		}
		if *dir.value == "" {
			*dir.value = filepath.Join(repository(), dir.below)
		}
		if *dir.value, err = filepath.Abs(*dir.value); err != nil {
			return err
		}
	}
	if o.Manifests != "" {
		if o.Manifests, err = filepath.Abs(o.Manifests); err != nil {
			return err
		}
		if _, err := os.Stat(o.Manifests); err != nil {
			return fmt.Errorf("manifests: %w", err)
		}
	}
	needed := []string{"quorate-lab"}
	if !o.NoAgents && !o.NoControlPlane {
		needed = append(needed, "quorate-agent", "quorate-manager")
	}
	for _, name := range needed {
		if _, err := os.Stat(filepath.Join(o.BinDir, name)); err != nil {
			return fmt.Errorf("%w: build it with make build, or name another directory with --bin-dir", err)
		}
	}
	return nil
}

// checkAPI checks where the API servers are to be.
func checkAPI(o *Options) error {
	switch {
	case o.APIOnHosts == 0:
		return nil
	case o.NoControlPlane:
		return errors.New("API servers on hosts, and none at all: choose one of --api-on-hosts and --no-api")
	case o.APIOnHosts != 1 && o.APIOnHosts != 3:
		return fmt.Errorf("API servers on hosts: %d: use 1 or 3; of an even number of etcd members one more is no help", o.APIOnHosts)
	case o.APIOnHosts > o.Hosts:
		return fmt.Errorf("API servers on hosts: %d, but there are only %d hosts", o.APIOnHosts, o.Hosts)
	}
	return nil
}

// repository is the top of the checkout: above the directory of this binary if that is bin, else above the working directory.
func repository() string {
	if self, err := os.Executable(); err == nil && filepath.Base(filepath.Dir(self)) == "bin" {
		return filepath.Dir(filepath.Dir(self))
	}
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d
		}
	}
	return dir
}

// ControlPlaneDir is where etcd, kube-apiserver and kubectl are when the options do not say: $KUBEBUILDER_ASSETS, else
// bin/controlplane of the checkout.
func ControlPlaneDir() string {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir
	}
	return filepath.Join(repository(), "bin", "controlplane")
}

// startKeeper starts the process that outlives this one and keeps the lab.
func startKeeper(layout protocol.Layout, o Options, lock *os.File) error {
	if err := layout.MakeDirs(); err != nil {
		return err
	}
	content, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("start the lab: %w", err)
	}
	if err := os.WriteFile(layout.OptionsFile(), content, 0o600); err != nil {
		return fmt.Errorf("start the lab: %w", err)
	}
	log, err := os.Create(layout.DaemonLog())
	if err != nil {
		return fmt.Errorf("start the lab: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(o.BinDir, "quorate-lab"), keeper.Command, layout.Name)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the lab: %w", err)
	}
	// A caller that lives longer than the lab must not keep the keeper's remains.
	go func() { _ = cmd.Wait() }()
	return nil
}

// follow waits for the daemon and hears its story to the end.
func (l *Lab) follow(ctx context.Context, tell func(Progress)) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://lab/progress?owner", nil)
	if err != nil {
		return err
	}
	var response *http.Response
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if response, err = l.http.Do(request); err == nil {
			break
		}
		if ctx.Err() != nil || time.Since(begin) > 10*time.Second {
			return err
		}
	}
	defer response.Body.Close()
	for lines := json.NewDecoder(response.Body); ; {
		var p Progress
		if err := lines.Decode(&p); err != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("the daemon ended: %w", err))
		}
		if p.Error != "" {
			return errors.New(p.Error)
		}
		if tell != nil {
			tell(p)
		}
		if p.Done {
			return nil
		}
	}
}

func lastLines(path string) string {
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		return ""
	}
	return "\n--- " + path + "\n" + string(content[max(0, len(content)-2000):])
}

// call asks the daemon.
func (l *Lab) call(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lab/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := l.http.Do(request)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("lab %s: %w", l.layout.Name, ErrNotRunning)
	}
	if err != nil {
		return fmt.Errorf("lab %s: %w", l.layout.Name, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		var failure protocol.Failure
		if err := json.NewDecoder(response.Body).Decode(&failure); err != nil {
			return fmt.Errorf("lab %s: %s", l.layout.Name, response.Status)
		}
		return errors.New(failure.Error)
	}
	if out == nil {
		_, err := io.Copy(io.Discard, response.Body)
		return err
	}
	return json.NewDecoder(response.Body).Decode(out)
}
