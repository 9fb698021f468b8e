package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/quorate/quorate/test/lab/network"
	"github.com/quorate/quorate/test/lab/protocol"
)

const killSignal = syscall.SIGKILL

// serveNet sets the loss between pairs of hosts.
func (d *Daemon) serveNet(_ context.Context, r protocol.NetRequest) ([]network.Fault, error) {
	faults, err := d.expand(r)
	if err != nil {
		return nil, err
	}
	if err := d.sw.SetFault(faults...); err != nil {
		return nil, err
	}
	return d.sw.Faults(), nil
}

// serveCable pulls a cable or plugs it in.
func (d *Daemon) serveCable(_ context.Context, r protocol.CableRequest) (struct{}, error) {
	h, err := d.host(r.Host)
	if err == nil && !h.on(r.Network) {
		err = fmt.Errorf("host %s has no cable to a network %q: it is on %s", r.Host, r.Network, strings.Join(h.networks, ", "))
	}
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, d.sw.Pull(r.Cable, r.Out)
}

// expand turns a request into one fault for each direction, pair and network.
func (d *Daemon) expand(r protocol.NetRequest) ([]network.Fault, error) {
	if r.LossPermille < 0 || r.LossPermille > 1000 {
		return nil, errors.New("loss: use 0% to 100%")
	}
	from, err := d.host(r.A)
	if err != nil {
		return nil, err
	}
	others, err := d.others(from, r.B)
	if err != nil {
		return nil, err
	}
	networks, err := selectNetworks(r.Network)
	if err != nil {
		return nil, err
	}
	var faults []network.Fault
	for _, to := range others {
		for _, n := range networks {
			if !from.on(n) || !to.on(n) {
				continue
			}
			faults = append(faults, network.Fault{From: from.name, To: to.name, Network: n, LossPermille: r.LossPermille})
			if !r.OneWay {
				faults = append(faults, network.Fault{From: to.name, To: from.name, Network: n, LossPermille: r.LossPermille})
			}
		}
	}
	if len(faults) == 0 {
		return nil, fmt.Errorf("%s and %s share no network that is %q", r.A, r.B, r.Network)
	}
	return faults, nil
}

// others are the hosts that b means, seen from a. All are all nodes and the API server, but not the client: whoever wants to cut
// off the client names it.
func (d *Daemon) others(a *hostState, b string) ([]*hostState, error) {
	if b != "all" && b != "" {
		h, err := d.host(b)
		if err == nil && h == a {
			err = errors.New("a host has no link to itself")
		}
		return []*hostState{h}, err
	}
	var all []*hostState
	for _, h := range d.hosts {
		if h != a && h.name != protocol.Client {
			all = append(all, h)
		}
	}
	return all, nil
}

func (h *hostState) on(network string) bool {
	for _, n := range h.networks {
		if n == network {
			return true
		}
	}
	return false
}

func selectNetworks(wanted string) ([]string, error) {
	var names []string
	for _, n := range network.Networks() {
		switch wanted {
		case n.Name, "all":
		case "all-internal", "":
			if !n.Internal {
				continue
			}
		default:
			continue
		}
		names = append(names, n.Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no network %q: use hb, lan, mgmt, all-internal or all", wanted)
	}
	return names, nil
}
