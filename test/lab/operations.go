package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/keeper"
	"github.com/quorate/quorate/test/lab/network"
	"github.com/quorate/quorate/test/lab/protocol"
)

// Name is the lab's name.
func (l *Lab) Name() string { return l.layout.Name }

// Kubeconfig is the path of the operator's kubeconfig: user lab-operator of the group quorate:admins.
func (l *Lab) Kubeconfig() string { return l.layout.Kubeconfig() }

// Backing is the path of a shared disk's backing file on the machine, from 1: what is really on the disk.
func (l *Lab) Backing(disk int) string { return filepath.Join(l.layout.Disks(), array.DiskName(disk)) }

// LogFile is the path of the log of a host's process: agent, manager, etcd or kube-apiserver.
func (l *Lab) LogFile(host, process string) string {
	return filepath.Join(l.layout.Logs(), host, process+".log")
}

// CopyLogs copies all logs to a directory, for after the lab is gone.
func (l *Lab) CopyLogs(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(dir, fmt.Sprintf("%s-%d", l.layout.Name, time.Now().Unix())), os.DirFS(l.layout.Logs()))
}

// Status tells what there is to know of the lab.
func (l *Lab) Status(ctx context.Context) (*Status, error) {
	var s Status
	return &s, l.call(ctx, "status", struct{}{}, &s)
}

// Kill cuts a host's power: its disks, its links and its processes at once, and what it had not written is lost.
func (l *Lab) Kill(ctx context.Context, host string) (*KillReport, error) {
	var report KillReport
	if err := l.call(ctx, "host/kill", protocol.HostRequest{Host: host}, &report); err != nil {
		return nil, err
	}
	return &report, nil
}

// Start switches a killed host on again: a new boot with a new boot id, and its own disk as it was.
func (l *Lab) Start(ctx context.Context, host string) error {
	return l.call(ctx, "host/start", protocol.HostRequest{Host: host}, nil)
}

// Freeze stops every process of a host, while its kernel goes on.
func (l *Lab) Freeze(ctx context.Context, host string) error {
	return l.call(ctx, "host/freeze", protocol.HostRequest{Host: host}, nil)
}

// Thaw lets a frozen host go on.
func (l *Lab) Thaw(ctx context.Context, host string) error {
	return l.call(ctx, "host/thaw", protocol.HostRequest{Host: host}, nil)
}

// KillProcess kills a supervised process (agent, manager) of a host; it is started again 100 ms later.
func (l *Lab) KillProcess(ctx context.Context, host, process string) error {
	return l.call(ctx, "process/kill", protocol.HostRequest{Host: host, Process: process}, nil)
}

// StopProcess stops a supervised process with SIGTERM, or after 10 s with SIGKILL; it stays down.
func (l *Lab) StopProcess(ctx context.Context, host, process string) error {
	return l.call(ctx, "process/stop", protocol.HostRequest{Host: host, Process: process}, nil)
}

// StartProcess starts a supervised process that was stopped.
func (l *Lab) StartProcess(ctx context.Context, host, process string) error {
	return l.call(ctx, "process/start", protocol.HostRequest{Host: host, Process: process}, nil)
}

// Link names what to cut, degrade or heal: between A and B on a network, in both directions unless OneWay (from A to B).
type Link struct {
	A string
	// B is another host, "api" (where the API server has a host of its own), "client", or "all": all other hosts but the client, and
	// with Network "all" that of the API server too.
	B string
	// Network is hb, lan, mgmt, "all-internal" (if empty) or "all".
	Network string
	OneWay  bool
}

// SplitHosts cuts every internal network between the hosts of one side and those of the other, in both directions. All keep their
// disks, their clients and the API server.
func (l *Lab) SplitHosts(ctx context.Context, side, other []string) error {
	var errs []error
	for _, a := range side {
		for _, b := range other {
			errs = append(errs, l.Cut(ctx, Link{A: a, B: b}))
		}
	}
	return errors.Join(errs...)
}

// CableOut pulls a host's cable to a network, so that its interface has no carrier, or with false plugs it in again.
func (l *Lab) CableOut(ctx context.Context, host, name string, out bool) error {
	return l.call(ctx, "cable", protocol.CableRequest{Cable: network.Cable{Host: host, Network: name}, Out: out}, nil)
}

// Cut drops every packet on a link.
func (l *Lab) Cut(ctx context.Context, link Link) error { return l.Degrade(ctx, link, 1000) }

// Heal makes a link whole again.
func (l *Lab) Heal(ctx context.Context, link Link) error { return l.Degrade(ctx, link, 0) }

// Degrade drops lossPermille of 1000 packets on a link.
func (l *Lab) Degrade(ctx context.Context, link Link, lossPermille int) error {
	var faults []network.Fault
	return l.call(ctx, "net", protocol.NetRequest{
		A: link.A, B: link.B, Network: link.Network, OneWay: link.OneWay, LossPermille: lossPermille,
	}, &faults)
}

// HealAll makes every link whole again, and plugs every cable in.
func (l *Lab) HealAll(ctx context.Context) error {
	s, err := l.Status(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range s.Faults {
		errs = append(errs, l.Heal(ctx, Link{A: f.From, B: f.To, Network: f.Network, OneWay: true}))
	}
	for _, c := range s.Pulled {
		errs = append(errs, l.CableOut(ctx, c.Host, c.Network, false))
	}
	return errors.Join(errs...)
}

// APIServers tells of each API server how it fares just now, in the order of the kubeconfig.
func (l *Lab) APIServers(ctx context.Context) ([]APIServerStatus, error) {
	var all []APIServerStatus
	return all, l.call(ctx, "api/servers", struct{}{}, &all)
}

// LeadEtcd makes the etcd member of a host the leader, in a lab with several.
func (l *Lab) LeadEtcd(ctx context.Context, host string) error {
	return l.call(ctx, "api/lead", protocol.LeadRequest{Host: host}, nil)
}

// StopAPI stops all API servers with their etcds; their data stays. Clients are refused. A host that boots meanwhile leaves its part
// stopped.
func (l *Lab) StopAPI(ctx context.Context) error { return l.api(ctx, "stop") }

// StartAPI starts them again on every host that has power and waits until they are ready.
func (l *Lab) StartAPI(ctx context.Context) error { return l.api(ctx, "start") }

// FreezeAPI stops them where they are: clients wait.
func (l *Lab) FreezeAPI(ctx context.Context) error { return l.api(ctx, "freeze") }

// ThawAPI lets them go on.
func (l *Lab) ThawAPI(ctx context.Context) error { return l.api(ctx, "thaw") }

func (l *Lab) api(ctx context.Context, op string) error {
	return l.call(ctx, "api", protocol.APIRequest{Op: op}, nil)
}

// WitnessDisk is the number of the witness disk, for the functions that want a disk; its file is /array/witness.img on every host.
const WitnessDisk = array.Witness

// WitnessHolder is the id of the node that holds the witness disk, by the array's own word; 0 for none.
func (l *Lab) WitnessHolder(ctx context.Context) (model.NodeID, error) {
	s, err := l.Status(ctx)
	if err != nil {
		return 0, err
	}
	for _, d := range s.Disks {
		if d.Number != WitnessDisk {
			continue
		}
		key, err := reservation.ParseKey(d.Reservation.Holder)
		return key.Node(), err
	}
	return 0, errors.New("this lab has no witness disk")
}

// DiskFail makes a host's path to a disk (from 1; 0 for all, and the witness too) answer EIO.
func (l *Lab) DiskFail(ctx context.Context, host string, disk int) error {
	return l.disk(ctx, host, disk, array.PathFailed)
}

// DiskHang makes a host's path to a disk wait for ever.
func (l *Lab) DiskHang(ctx context.Context, host string, disk int) error {
	return l.disk(ctx, host, disk, array.PathHung)
}

// DiskHeal makes a host's path to a disk whole again.
func (l *Lab) DiskHeal(ctx context.Context, host string, disk int) error {
	return l.disk(ctx, host, disk, array.PathOK)
}

func (l *Lab) disk(ctx context.Context, host string, disk int, state array.PathState) error {
	return l.call(ctx, "disk", protocol.DiskRequest{Host: host, Disk: disk, State: state}, nil)
}

// Down ends the lab and waits until nothing of it is left. Ending one that is not running only cleans up.
func (l *Lab) Down(ctx context.Context) error {
	askErr := l.call(ctx, "down", struct{}{}, nil)
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		lock, err := keeper.Lock(l.layout)
		if err == nil {
			defer lock.Close()
			return keeper.Clean(ctx, l.layout) // the keeper has done it, or was killed
		}
		if !errors.Is(err, keeper.ErrRunning) {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), askErr)
		}
		if time.Since(begin) > 2*time.Second {
			// The daemon does not end by itself: kill it, and the keeper cleans up.
			if err := keeper.KillDaemon(l.layout); err != nil {
				return err
			}
			begin = time.Now()
		}
	}
}

// Down ends the lab of a name, also one that crashed.
func Down(ctx context.Context, name string) error {
	layout, err := protocol.NewLayout(name)
	if err != nil {
		return err
	}
	return attach(layout).Down(ctx)
}
