package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/quorate/quorate/test/lab/cgroup"
	"github.com/quorate/quorate/test/lab/controlplane"
	"github.com/quorate/quorate/test/lab/install"
	"github.com/quorate/quorate/test/lab/protocol"
)

// startControlPlane starts the API host and its processes in the background; the channel tells when the API server is ready.
func (d *Daemon) startControlPlane(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	if d.options.NoControlPlane {
		done <- nil
		return done
	}
	go func() {
		h, err := d.host(protocol.API)
		if err == nil {
			err = d.powerOn(ctx, h)
		}
		if err == nil {
			d.setAPI(protocol.APIStarting)
			err = d.cp.Start(ctx, h.machine)
		}
		if err == nil {
			d.setAPI(protocol.APIReady)
			d.story.say("the API server is ready at %s", d.server)
		}
		done <- err
	}()
	return done
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
	inside := filepath.Join(d.layout.Host(protocol.API), "keys", "operator.kubeconfig")
	if err := d.authority.WriteKubeconfig(inside, controlplane.Server(), install.Operator()); err != nil {
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

// apiOperation stops, starts, freezes or thaws the API server with etcd. The API host's kernel goes on: a stopped server's clients are
// refused, a frozen one's wait.
func (d *Daemon) apiOperation(ctx context.Context, op string) error {
	if d.options.NoControlPlane {
		return errors.New("this lab has no API server")
	}
	h, err := d.host(protocol.API)
	if err != nil {
		return err
	}
	h.op.Lock()
	defer h.op.Unlock()
	machine, err := d.running(protocol.API)
	if err != nil {
		return err
	}
	switch state := d.api(); {
	case op == "stop" && state != protocol.APIStopped:
		if err := d.freezeAPI(h, false); err != nil {
			return err
		}
		d.setAPI(protocol.APIStopped)
		return d.cp.Stop(ctx, machine)
	case op == "start" && state == protocol.APIStopped:
		d.setAPI(protocol.APIStarting)
		limited, cancel := context.WithTimeout(ctx, 60*time.Second)
		defer cancel()
		if err := d.cp.Start(limited, machine); err != nil {
			return err
		}
		d.setAPI(protocol.APIReady)
		return nil
	case op == "freeze" && state == protocol.APIReady:
		d.setAPI(protocol.APIFrozen)
		return d.freezeAPI(h, true)
	case op == "thaw" && state == protocol.APIFrozen:
		d.setAPI(protocol.APIReady)
		return d.freezeAPI(h, false)
	default:
		return fmt.Errorf("api %s: the API server is %s", op, state)
	}
}

func (d *Daemon) freezeAPI(h *hostState, frozen bool) error {
	var errs []error
	for _, name := range []string{controlplane.APIServer, controlplane.Etcd} {
		errs = append(errs, freezeIfThere(d.cgroupOf(h).Sub(name), frozen))
	}
	return errors.Join(errs...)
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
