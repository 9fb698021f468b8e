package daemon

import (
	"fmt"

	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/network"
	"github.com/quorate/quorate/test/lab/protocol"
)

// status tells what there is to know. While the lab comes up, that is little.
func (d *Daemon) status() protocol.Status {
	s := protocol.Status{
		Name: d.options.Name, Up: d.story.done(), Started: d.started, API: d.api(), APIOnHosts: d.options.APIOnHosts,
		Hosts: []protocol.HostStatus{}, Faults: []network.Fault{}, Disks: []protocol.DiskStatus{},
	}
	if !s.Up {
		return s
	}
	if len(d.outside) > 0 {
		s.Server = d.outside[0]
	}
	if !d.options.NoControlPlane {
		s.Kubeconfig = d.layout.Kubeconfig()
	}
	for _, h := range d.hosts {
		s.Hosts = append(s.Hosts, d.hostStatus(h))
	}
	s.Faults, s.Pulled = d.sw.Faults(), d.sw.Pulled()
	for n := 1; n <= d.disks.Count(); n++ {
		s.Disks = append(s.Disks, d.diskStatus(n))
	}
	s.Disks = append(s.Disks, d.diskStatus(array.Witness))
	return s
}

func (d *Daemon) diskStatus(n int) protocol.DiskStatus {
	return protocol.DiskStatus{
		Number: n, File: arrayDir + "/" + d.disks.Name(n), Backing: d.disks.Backing(n), Reservation: d.disks.State(n),
	}
}

func (d *Daemon) hostStatus(h *hostState) protocol.HostStatus {
	h.mu.Lock()
	machine, s := h.machine, protocol.HostStatus{
		Name: h.name, State: protocol.HostDown, BootID: h.bootID, Boots: h.boots, Resets: h.resets, LastKill: h.lastKill,
	}
	h.mu.Unlock()
	for _, n := range network.Networks() {
		if h.on(n.Name) {
			for _, address := range n.Addresses(h.number) {
				s.Addresses = append(s.Addresses, fmt.Sprintf("%s=%s", n.Name, address))
			}
		}
	}
	if h.node {
		s.Paths = d.disks.Port(h.name).Paths()
	}
	if machine == nil {
		return s
	}
	select {
	case <-machine.Gone():
		return s // its first process died without a power cut; host kill carries the rest away
	default:
	}
	s.State = protocol.HostUp
	if machine.Frozen() {
		s.State = protocol.HostFrozen
	}
	s.Processes = machine.Processes()
	return s
}
