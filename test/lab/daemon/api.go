package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quorate/quorate/test/lab/cgroup"
	"github.com/quorate/quorate/test/lab/controlplane"
	"github.com/quorate/quorate/test/lab/install"
	"github.com/quorate/quorate/test/lab/protocol"
)

// powerOnWithAPI starts all hosts and the API servers, and waits until these are ready. An API server with a host of its own starts at the same
// time as the other hosts.
func (d *Daemon) powerOnWithAPI(ctx context.Context) error {
	started := make(chan error, 1)
	if d.options.APIServers() > 0 && !d.cp.OnHosts() {
		go func() { started <- d.startControlPlane(ctx) }()
	}
	if err := d.powerOnAll(ctx); err != nil {
		return err
	}
	d.story.say("%d hosts and the client have power", d.options.Hosts)
	switch {
	case d.options.APIServers() == 0:
		return nil
	case d.cp.OnHosts():
		return d.startControlPlane(ctx)
	}
	return <-started
}

// startControlPlane starts the processes of the API servers, and the host of one that has its own, and waits until they are ready.
func (d *Daemon) startControlPlane(ctx context.Context) error {
	if !d.cp.OnHosts() {
		h, err := d.host(protocol.API)
		if err != nil {
			return err
		}
		if err := d.powerOn(ctx, h); err != nil {
			return err
		}
	}
	d.setAPI(protocol.APIStarting)
	if err := d.cp.Start(ctx, d.serverMachines); err != nil {
		return err
	}
	d.setAPI(protocol.APIReady)
	if d.cp.OnHosts() {
		d.story.say("etcd and an API server run on %s; the first is at %s", strings.Join(d.serverNames(), ", "), d.outside[0])
	} else {
		d.story.say("the API server is ready at %s", d.outside[0])
	}
	return nil
}

// serverMachines are the running hosts that have an API server.
func (d *Daemon) serverMachines() controlplane.Machines {
	machines := controlplane.Machines{}
	for _, h := range d.hosts {
		h.mu.Lock()
		if h.server && h.machine != nil {
			machines[h.name] = h.machine
		}
		h.mu.Unlock()
	}
	return machines
}

// serverNames are the hosts that have an API server.
func (d *Daemon) serverNames() []string {
	var names []string
	for _, h := range d.hosts {
		if h.server {
			names = append(names, h.name)
		}
	}
	return names
}

func (d *Daemon) installSystem(ctx context.Context) error {
	if d.options.NoControlPlane {
		return nil
	}
	err := install.System(ctx, d.kubectl(d.cp.AdminKubeconfig()), d.options.ConfigDir, d.options.Cluster)
	if err == nil {
		d.story.say("kinds, roles, admission policies and the heartbeat key are installed")
	}
	return err
}

func (d *Daemon) applyManifests(ctx context.Context) error {
	if d.options.Manifests == "" || d.options.NoControlPlane {
		return nil
	}
	// The operator's own kubeconfig leads through the machine's network, which is not reached from here.
	inside := filepath.Join(d.layout.Host("controlplane"), "operator.kubeconfig")
	if err := d.authority.WriteKubeconfig(inside, d.cp.URLs(""), install.Operator()); err != nil {
		return err
	}
	err := install.Manifests(ctx, d.kubectl(inside), d.options.Manifests)
	if err == nil {
		d.story.say("%s is applied", d.options.Manifests)
	}
	return err
}

func (d *Daemon) kubectl(kubeconfig string) install.Kubectl {
	return install.Kubectl{Path: d.cp.Kubectl(), Kubeconfig: kubeconfig, CacheDir: filepath.Join(d.layout.Dir(), "kubectl-cache")}
}

func (d *Daemon) setAPI(s protocol.APIState) {
	d.apiMu.Lock()
	defer d.apiMu.Unlock()
	d.apiState = s
}

func (d *Daemon) api() protocol.APIState {
	d.apiMu.Lock()
	defer d.apiMu.Unlock()
	return d.apiState
}

// apiOperation stops, starts, freezes or thaws all API servers with their etcds. The kernels of their hosts go on: a stopped server's clients are
// refused, a frozen one's wait. Of hosts without power nothing happens.
func (d *Daemon) apiOperation(ctx context.Context, op string) error {
	if d.options.NoControlPlane {
		return errors.New("this lab has no API server")
	}
	d.apiOp.Lock()
	defer d.apiOp.Unlock()
	machines := d.serverMachines()
	if len(machines) == 0 {
		return fmt.Errorf("api %s: no host of an API server has power: start %s first", op, strings.Join(d.serverNames(), " or "))
	}
	switch state := d.api(); {
	case op == "stop" && state != protocol.APIStopped:
		if err := d.freezeAPI(machines, false); err != nil {
			return err
		}
		d.setAPI(protocol.APIStopped)
		return d.cp.Stop(ctx, machines)
	case op == "start" && state == protocol.APIStopped:
		d.setAPI(protocol.APIStarting)
		limited, cancel := context.WithTimeout(ctx, 60*time.Second)
		defer cancel()
		if err := d.cp.Start(limited, d.serverMachines); err != nil {
			return err
		}
		d.setAPI(protocol.APIReady)
		return nil
	case op == "freeze" && state == protocol.APIReady:
		d.setAPI(protocol.APIFrozen)
		return d.freezeAPI(machines, true)
	case op == "thaw" && state == protocol.APIFrozen:
		d.setAPI(protocol.APIReady)
		return d.freezeAPI(machines, false)
	default:
		return fmt.Errorf("api %s: the API server is %s", op, state)
	}
}

func (d *Daemon) freezeAPI(machines controlplane.Machines, frozen bool) error {
	var errs []error
	for name, m := range machines {
		for _, process := range []string{controlplane.APIServer, controlplane.Etcd} {
			err := freezeIfThere(d.group.Sub(name).Sub(process), frozen)
			select {
			case <-m.Gone(): // a host without power has nothing to freeze
			default:
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// serveServers asks each API server how it fares.
func (d *Daemon) serveServers(ctx context.Context, _ struct{}) ([]protocol.APIServerStatus, error) {
	if !d.story.done() {
		return nil, errors.New("the lab is not up yet")
	}
	if d.options.NoControlPlane {
		return []protocol.APIServerStatus{}, nil
	}
	machines := d.serverMachines()
	all := make([]protocol.APIServerStatus, len(d.outside))
	var asked sync.WaitGroup
	for i, s := range d.cp.Servers() {
		all[i] = protocol.APIServerStatus{Host: s.Host, Server: d.outside[i], Address: s.URL(), Problem: "its host has no power"}
		if machines[s.Host] == nil {
			continue
		}
		asked.Go(func() {
			all[i].Problem = ""
			if err := d.cp.Ready(ctx, &s); err != nil {
				all[i].Problem = err.Error()
			}
			all[i].Ready = all[i].Problem == ""
			leads, err := d.cp.LeadsEtcd(ctx, &s)
			all[i].LeadsEtcd = err == nil && leads
		})
	}
	asked.Wait()
	return all, nil
}

// serveLead makes the etcd member of a host the leader.
func (d *Daemon) serveLead(ctx context.Context, r protocol.LeadRequest) (struct{}, error) {
	if _, err := d.host(r.Host); err != nil {
		return struct{}{}, err
	}
	if !d.story.done() {
		return struct{}{}, errors.New("the lab is not up yet")
	}
	if d.options.APIOnHosts < 2 {
		return struct{}{}, errors.New("this lab has one etcd, which always leads: start it with --api-on-hosts 3")
	}
	return struct{}{}, d.cp.Lead(ctx, r.Host)
}

func freezeIfThere(group cgroup.Group, frozen bool) error {
	if group.Frozen() == frozen {
		return nil
	}
	return group.Freeze(frozen)
}

// forward carries connections from outside of the lab to the API server.
func forward(outside net.Listener, target string) {
	for {
		conn, err := outside.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			inside, err := net.DialTimeout("tcp", target, 10*time.Second)
			if err != nil {
				return
			}
			defer inside.Close()
			go func() {
				_, _ = io.Copy(inside, conn)
				closeWrite(inside)
			}()
			_, _ = io.Copy(conn, inside)
		}()
	}
}

func closeWrite(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}
