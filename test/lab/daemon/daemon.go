package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/cgroup"
	"github.com/quorate/quorate/test/lab/controlplane"
	"github.com/quorate/quorate/test/lab/network"
	"github.com/quorate/quorate/test/lab/pki"
	"github.com/quorate/quorate/test/lab/protocol"
)

// Command is the hidden subcommand of the lab's binary that runs [Main].
const Command = "internal-daemon"

// ListenerFD is the first file descriptor of the listening sockets, made outside of the daemon's network namespace, one for each API server,
// whose connections are forwarded to it.
const ListenerFD = 3

// Daemon is a running lab.
type Daemon struct {
	layout  protocol.Layout
	options protocol.Options
	started time.Time
	outside []string // the API servers' URLs from outside, in the order of their hosts

	group     cgroup.Group
	sw        *network.Switch
	disks     *array.Array
	authority *pki.Authority
	cp        *controlplane.ControlPlane
	hosts     []*hostState
	story     *story
	recordMu  sync.Mutex
	// apiOp makes operations on the API servers happen one after another.
	apiOp    sync.Mutex
	apiMu    sync.Mutex
	apiState protocol.APIState
	// end is closed when someone asked for the end of the lab.
	end     chan struct{}
	endOnce sync.Once
}

// Main runs a lab until it is told to end. It expects to be the first process of its own PID, mount and network namespaces.
func Main(name string) error {
	if os.Getpid() != 1 {
		return errors.New("the lab's daemon must be the first process of its own namespaces: use quorate-lab up")
	}
	layout, err := protocol.NewLayout(name)
	if err != nil {
		return err
	}
	d := &Daemon{layout: layout, started: time.Now(), story: newStory(), end: make(chan struct{}), apiState: protocol.APINone}
	content, err := os.ReadFile(layout.OptionsFile())
	if err == nil {
		err = json.Unmarshal(content, &d.options)
	}
	if err != nil {
		return fmt.Errorf("options of the lab: %w", err)
	}
	for i := range d.options.APIServers() {
		unix.CloseOnExec(ListenerFD + i)
	}
	if err := ownMounts(); err != nil {
		return err
	}
	d.planHosts()
	if d.disks, err = array.New(layout.Disks(), d.options.Disks, d.options.DiskSize); err != nil {
		return err
	}
	root, err := cgroup.Root()
	if err != nil {
		return err
	}
	d.group = root.Sub(layout.CgroupName())
	control, err := net.Listen("unix", layout.Socket())
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go d.serve(control)
	go func() { d.story.finish(d.up(ctx)) }()
	<-d.end
	// The kernel ends everything else with this process. What is still cached then must not reach the disks.
	for _, h := range d.hosts {
		if h.node {
			d.disks.Port(h.name).Cut()
		}
	}
	return nil
}

// ownMounts keeps what the lab mounts from showing elsewhere, and shows this PID namespace's processes.
func ownMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// up makes everything, telling the story as it goes.
func (d *Daemon) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	d.story.say("lab %q: %d shared disks, networks hb, lan and mgmt", d.options.Name, d.options.Disks)
	network.KeepFirewallsOut()
	var err error
	if d.sw, err = network.NewSwitch(); err != nil {
		return err
	}
	if err = d.writeIdentities(); err != nil {
		return err
	}
	for _, h := range d.hosts {
		if h.node {
			if err := d.watchButton(h); err != nil {
				return err
			}
		}
	}
	if err := d.serveBMC(); err != nil {
		return err
	}
	if err := d.powerOnWithAPI(ctx); err != nil {
		return err
	}
	if err := d.installSystem(ctx); err != nil {
		return err
	}
	if err := d.bootAll(); err != nil {
		return err
	}
	return d.applyManifests(ctx)
}

// writeIdentities makes the certificate authority and a kubeconfig for everyone who needs one.
func (d *Daemon) writeIdentities() error {
	if d.options.NoControlPlane {
		return nil
	}
	var err error
	if d.authority, err = pki.NewAuthority("quorate-lab-" + d.options.Name); err != nil {
		return err
	}
	var servers []controlplane.Server
	for _, h := range d.hosts {
		if h.server {
			servers = append(servers, controlplane.Server{Host: h.name, IP: network.ManagementAddress(h.number)})
		}
	}
	d.cp, err = controlplane.New(d.authority, d.options.ControlPlane, d.layout.Host("controlplane"), servers, d.options.APIOnHosts > 0)
	if err != nil {
		return err
	}
	for i, s := range servers {
		listener := os.NewFile(uintptr(ListenerFD+i), "listener")
		outside, err := net.FileListener(listener)
		listener.Close()
		if err != nil {
			return fmt.Errorf("forward to the API server of %s: %w", s.Host, err)
		}
		d.outside = append(d.outside, "https://"+outside.Addr().String())
		go forward(outside, net.JoinHostPort(s.IP, controlplane.Port))
	}
	return d.writeKubeconfigs()
}

// shutDown ends the lab in order; what is left undone, the keeper does.
func (d *Daemon) shutDown() {
	d.endOnce.Do(func() { close(d.end) })
}
