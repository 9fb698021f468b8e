package protocol

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/host"
	"github.com/quorate/quorate/test/lab/network"
)

// Options say what kind of lab to make.
type Options struct {
	// Name tells labs apart that run at once; [DefaultName] if empty.
	Name string `json:"name"`
	// Hosts is how many hosts there are (1 to 26): node-a, node-b and so on. 3 if zero.
	Hosts int `json:"hosts"`
	// APIOnHosts is how many of the first hosts run etcd and an API server (1 or 3), which die with their host. If zero, both run on a
	// host of their own that never dies.
	APIOnHosts int `json:"apiOnHosts,omitempty"`
	// Managers is how many of the first hosts run a manager; if zero, as many as have an API server, or else 2. None if negative.
	Managers int `json:"managers"`
	// BinDir holds the binaries; hosts see it as /opt/quorate/bin.
	BinDir string `json:"binDir"`
	// ControlPlane holds etcd, kube-apiserver and kubectl.
	ControlPlane string `json:"controlPlane"`
	// ConfigDir holds the kustomization "api" with the kinds, roles and admission policies.
	ConfigDir string `json:"configDir"`
	// Manifests is a file or directory that the operator applies when the lab is up; nothing if empty.
	Manifests string `json:"manifests,omitempty"`
	// Cluster is the name of the cluster that agents belong to; "demo" if empty.
	Cluster string `json:"cluster"`
	// NoAgents leaves agents and managers out.
	NoAgents bool `json:"noAgents,omitempty"`
	// NoControlPlane leaves the API server out too, and with it everything that needs one.
	NoControlPlane bool `json:"noControlPlane,omitempty"`
	// Disks is how many shared disks there are; 8 if zero.
	Disks int `json:"disks"`
	// DiskSize is the size of a shared disk in bytes; 64 MiB if zero.
	DiskSize int64 `json:"diskSize"`
	// AgentArgs and ManagerArgs are added to the daemons' command lines.
	AgentArgs   []string `json:"agentArgs,omitempty"`
	ManagerArgs []string `json:"managerArgs,omitempty"`
}

// WithDefaults fills in what is not set.
func (o Options) WithDefaults() Options {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.Hosts == 0 {
		o.Hosts = 3
	}
	if o.Managers == 0 {
		o.Managers = 2
		if o.APIOnHosts > 0 {
			o.Managers = o.APIOnHosts
		}
	}
	if o.Cluster == "" {
		o.Cluster = "demo"
	}
	if o.Disks == 0 {
		o.Disks = 8
	}
	if o.DiskSize == 0 {
		o.DiskSize = 64 << 20
	}
	return o
}

// APIServers is how many API servers there are.
func (o Options) APIServers() int {
	switch {
	case o.NoControlPlane:
		return 0
	case o.APIOnHosts > 0:
		return o.APIOnHosts
	}
	return 1
}

// Progress is one line of the story that up tells.
type Progress struct {
	// Elapsed is the time since up began.
	Elapsed time.Duration `json:"elapsed"`
	Message string        `json:"message,omitempty"`
	// Done is set in the last line; Error then tells why the lab is not up.
	Done  bool   `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
}

// HostRequest acts on a host, or on one of its processes.
type HostRequest struct {
	Host    string `json:"host"`
	Process string `json:"process,omitempty"`
}

// KillReport tells how a host's power was cut, in the order in which it happened.
type KillReport struct {
	Host string `json:"host"`
	// Cut is the moment of the cut, just before the array stopped to take the host's writes.
	Cut Instant `json:"cut"`
	// The rest are times after Cut: no write reaches a disk, no packet leaves or arrives, no process is left, nothing is left.
	DisksCut time.Duration `json:"disksCut"`
	LinksCut time.Duration `json:"linksCut"`
	Dead     time.Duration `json:"dead"`
	Cleaned  time.Duration `json:"cleaned"`
}

// Instant is a moment on two clocks. Monotonic is CLOCK_MONOTONIC of the machine, which all hosts and the client share.
type Instant struct {
	Wall      time.Time     `json:"wall"`
	Monotonic time.Duration `json:"monotonic"`
}

// Now reads both clocks.
func Now() Instant {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // never fails for this clock
	return Instant{Wall: time.Now(), Monotonic: time.Duration(ts.Nano())}
}

// NetRequest cuts, degrades or heals links.
type NetRequest struct {
	A string `json:"a"`
	// B is the other host; "all" means all other hosts and, on the management network, the host of the API server if it has one of its own.
	B string `json:"b"`
	// Network is a network's name, "all-internal" (the default) or "all".
	Network string `json:"network"`
	// OneWay affects only packets from A to B.
	OneWay bool `json:"oneWay"`
	// LossPermille of 1000 packets are lost; 1000 cuts, 0 heals.
	LossPermille int `json:"lossPermille"`
}

// CableRequest pulls a host's cable to a network, or plugs it in.
type CableRequest struct {
	network.Cable
	Out bool `json:"out"`
}

// DiskRequest sets how a host's path to a disk behaves.
type DiskRequest struct {
	Host string `json:"host"`
	// Disk is its number from 1, or array.Witness; 0 means all.
	Disk  int             `json:"disk"`
	State array.PathState `json:"state"`
}

// APIRequest acts on the control plane.
type APIRequest struct {
	// Op is stop, start, freeze or thaw.
	Op string `json:"op"`
}

// LeadRequest makes the etcd member of a host the leader.
type LeadRequest struct {
	Host string `json:"host"`
}

// APIServerStatus is how one API server fares, asked just now.
type APIServerStatus struct {
	// Host is where it runs, together with its etcd member.
	Host string `json:"host"`
	// Server is its URL from outside of the lab, Address that for hosts.
	Server  string `json:"server"`
	Address string `json:"address"`
	// Ready says that it serves, Problem else why not.
	Ready   bool   `json:"ready"`
	Problem string `json:"problem,omitempty"`
	// LeadsEtcd says that the leader of the etcd members is on this host.
	LeadsEtcd bool `json:"leadsEtcd,omitempty"`
}

// HostState is whether a host runs.
type HostState string

// The states of a host.
const (
	HostUp     HostState = "up"
	HostDown   HostState = "down"
	HostFrozen HostState = "frozen"
)

// HostStatus is what there is to know of a host.
type HostStatus struct {
	Name      string    `json:"name"`
	State     HostState `json:"state"`
	Addresses []string  `json:"addresses"`
	BootID    string    `json:"bootID,omitempty"`
	Boots     int       `json:"boots"`
	// Resets counts those boots that the host has ordered itself.
	Resets    int                  `json:"resets,omitempty"`
	Processes []host.ProcessStatus `json:"processes,omitempty"`
	// Paths is the state of the path to each shared disk, the last being the witness.
	Paths []array.PathState `json:"paths,omitempty"`
	// LastKill tells of the last power cut.
	LastKill *KillReport `json:"lastKill,omitempty"`
}

// APIState is how the control plane fares: ready, stopped, frozen, starting or none. Where it is on hosts that die, it is what was ordered
// last; how each of its servers fares, [APIServerStatus] tells.
type APIState string

// The states of the control plane.
const (
	APIReady    APIState = "ready"
	APIStopped  APIState = "stopped"
	APIFrozen   APIState = "frozen"
	APIStarting APIState = "starting"
	APINone     APIState = "none"
)

// Status is what there is to know of a lab.
type Status struct {
	Name       string    `json:"name"`
	Up         bool      `json:"up"`
	Started    time.Time `json:"started"`
	Server     string    `json:"server,omitempty"`
	Kubeconfig string    `json:"kubeconfig,omitempty"`
	API        APIState  `json:"api"`
	// APIOnHosts is how many of the first hosts have an API server; 0 if it has a host of its own.
	APIOnHosts int `json:"apiOnHosts,omitempty"`
	// Servers tells of each API server; who only asks for the status gets none.
	Servers []APIServerStatus `json:"servers,omitempty"`
	Hosts   []HostStatus      `json:"hosts"`
	Faults  []network.Fault   `json:"faults"`
	// Pulled are the cables that are pulled.
	Pulled []network.Cable `json:"pulled,omitempty"`
	Disks  []DiskStatus    `json:"disks"`
}

// DiskStatus is a shared disk as the array knows it.
type DiskStatus struct {
	// Number from 1, or array.Witness.
	Number      int         `json:"number"`
	File        string      `json:"file"`
	Backing     string      `json:"backing"`
	Reservation array.State `json:"reservation"`
}

// Failure is the body of an answer that is not a success.
type Failure struct {
	Error string `json:"error"`
}
