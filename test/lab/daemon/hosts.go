package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/cgroup"
	"github.com/quorate/quorate/test/lab/host"
	"github.com/quorate/quorate/test/lab/loopdev"
	"github.com/quorate/quorate/test/lab/network"
	"github.com/quorate/quorate/test/lab/protocol"
	"golang.org/x/sync/errgroup"
)

// hostState is a host with or without power.
type hostState struct {
	name     string
	number   int // the last part of its addresses
	networks []string
	node     bool // runs an agent and reaches the disks
	manager  bool
	server   bool // runs an API server and etcd

	// op makes power on, kill, freeze and thaw of one host happen one after another.
	op sync.Mutex
	// mu guards what status reads while an operation is under way.
	mu       sync.Mutex
	machine  *host.Machine
	mount    *array.Mount
	bootID   string
	boots    int
	resets   int // ordered by the host itself
	lastKill *protocol.KillReport
}

// Numbers of hosts in their addresses.
const (
	apiNumber    = 1
	firstNode    = 11
	clientNumber = 250
)

// planHosts decides which hosts there are.
func (d *Daemon) planHosts() {
	if d.options.APIServers() > 0 && d.options.APIOnHosts == 0 {
		d.hosts = append(d.hosts, &hostState{name: protocol.API, number: apiNumber, networks: []string{network.Management}, server: true})
	}
	d.hosts = append(d.hosts, &hostState{name: protocol.Client, number: clientNumber, networks: []string{"lan"}})
	for n := range d.options.Hosts {
		h := &hostState{
			name: fmt.Sprintf("node-%c", 'a'+n), number: firstNode + n, node: true, manager: n < d.options.Managers,
			server: n < d.options.APIOnHosts && !d.options.NoControlPlane,
		}
		for _, each := range network.Networks() {
			h.networks = append(h.networks, each.Name)
		}
		d.hosts = append(d.hosts, h)
	}
}

func (d *Daemon) host(name string) (*hostState, error) {
	for _, h := range d.hosts {
		if h.name == name {
			return h, nil
		}
	}
	if name == protocol.API && d.options.APIOnHosts > 0 {
		return nil, fmt.Errorf("the API servers of this lab have no host of their own: they are on %s", strings.Join(d.serverNames(), ", "))
	}
	return nil, fmt.Errorf("no host %q in this lab: there are node-a to node-%c and %s", name, 'a'+d.options.Hosts-1, protocol.Client)
}

// running returns the host's machine, or an error while it has no power.
func (d *Daemon) running(name string) (*host.Machine, error) {
	h, err := d.host(name)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.machine == nil {
		return nil, fmt.Errorf("host %s is down: start it first", name)
	}
	return h.machine, nil
}

func (d *Daemon) cgroupOf(h *hostState) cgroup.Group { return d.group.Sub(h.name) }

// powerOn starts a host without its daemons.
func (d *Daemon) powerOn(ctx context.Context, h *hostState) error {
	h.op.Lock()
	defer h.op.Unlock()
	if h.machine != nil {
		return fmt.Errorf("host %s is up already", h.name)
	}
	var mount *array.Mount
	if h.node {
		port := d.disks.Port(h.name)
		port.PowerOn()
		var err error
		if mount, err = port.Mount(filepath.Join(d.layout.Host(h.name), "array")); err != nil {
			return err
		}
		if err := d.recordFiles(mount.Files()); err != nil {
			return err
		}
	}
	bootID := uuid.NewString()
	spec, err := d.spec(h, bootID)
	if err != nil {
		return err
	}
	connect := func(pid int) error { return d.sw.Connect(h.name, pid, h.number, h.networks...) }
	machine, err := host.Start(ctx, spec, d.cgroupOf(h), connect)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.machine, h.mount, h.bootID = machine, mount, bootID
	h.boots++
	return nil
}

// recordFiles leaves behind which loop devices are the lab's, for whoever cleans up after a crash.
func (d *Daemon) recordFiles(files loopdev.Files) error {
	d.recordMu.Lock()
	defer d.recordMu.Unlock()
	file, err := os.OpenFile(d.layout.FilesFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("record the lab's disks: %w", err)
	}
	defer file.Close()
	return json.NewEncoder(file).Encode(files)
}

// kill cuts a host's power: the disks first, so that nothing that happens to the dying host can reach them, then the cables, then
// every process. Only then it tidies up, as if someone had carried the dead host away.
func (d *Daemon) kill(ctx context.Context, h *hostState) (*protocol.KillReport, error) {
	h.op.Lock()
	defer h.op.Unlock()
	machine := h.machine
	if machine == nil {
		return nil, fmt.Errorf("host %s is down already", h.name)
	}
	report := &protocol.KillReport{Host: h.name, Cut: protocol.Now()}
	since := func() time.Duration { return time.Since(report.Cut.Wall) }
	if h.node {
		d.disks.Port(h.name).Cut()
	}
	report.DisksCut = since()
	linksErr := d.sw.LinksDown(h.name)
	report.LinksCut = since()
	if err := machine.Kill(ctx); err != nil {
		return nil, errors.Join(err, linksErr)
	}
	report.Dead = since()
	err := errors.Join(linksErr, d.carryAway(ctx, h))
	report.Cleaned = since()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.machine, h.mount, h.lastKill = nil, nil, report
	return report, err
}

// carryAway removes what a dead host leaves on the machine.
func (d *Daemon) carryAway(ctx context.Context, h *hostState) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var errs []error
	if h.mount != nil {
		// Aborting the connection ends file systems that still wait for the disk; only then can their loop devices go.
		errs = append(errs, h.mount.Close(), loopdev.DetachAll(ctx, h.mount.Files()))
	}
	return errors.Join(append(errs, d.sw.Disconnect(h.name), d.cgroupOf(h).Remove(ctx))...)
}

// powerOnAll starts all hosts but the API host at once.
func (d *Daemon) powerOnAll(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, h := range d.hosts {
		if h.name != protocol.API {
			group.Go(func() error { return d.powerOn(ctx, h) })
		}
	}
	return group.Wait()
}

// bootAll starts the daemons of all hosts.
func (d *Daemon) bootAll() error {
	if d.options.NoAgents || d.options.NoControlPlane {
		return nil
	}
	var errs []error
	for _, h := range d.hosts {
		if h.node {
			errs = append(errs, h.machine.Boot())
		}
	}
	d.story.say("agents run on every host, managers on the first %d", max(0, min(d.options.Managers, d.options.Hosts)))
	return errors.Join(errs...)
}

// start powers a host on and boots it, as someone who presses its button does.
func (d *Daemon) start(ctx context.Context, h *hostState) error {
	if err := d.powerOn(ctx, h); err != nil {
		return err
	}
	return h.machine.Boot()
}
