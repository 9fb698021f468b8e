package audit

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Look is what was seen of one cluster at about one moment. What could not be looked at is missing, and named in Unseen: rules judge
// only what was seen.
type Look struct {
	// Began and Ended are by the auditor's clock.
	Began, Ended time.Time
	// Objects are the API's; nil when it did not answer.
	Objects *snapshot.Objects
	Hosts   []Host
	Disks   []Disk
	Answers []Answer
	Unseen  []Unseen
}

// Source is where facts come from.
type Source string

// Sources of facts.
const (
	SourceAPI       Source = "api"       // the objects of the API
	SourceHosts     Source = "hosts"     // what is really on a host
	SourceDisks     Source = "disks"     // READ KEYS and READ RESERVATION
	SourceAddresses Source = "addresses" // ARP and neighbour discovery
)

// Unseen is something that could not be looked at.
type Unseen struct {
	Source Source `json:"source"`
	// Object is the host, disk or address; empty for all of the source.
	Object  string `json:"object,omitempty"`
	Message string `json:"message"`
}

// Host is what is really on a host, found without asking its agent.
type Host struct {
	// Node is the name of the host's Node.
	Node string    `json:"node"`
	At   time.Time `json:"at"`
	// Halted says that no process of the host runs at all: it cannot clean up, and its kernel has silenced it.
	Halted bool `json:"halted,omitempty"`
	// Lease is the agent's right to keep what runs; nil when no agent has run since boot.
	Lease     *Lease    `json:"lease,omitempty"`
	Mounts    []Mount   `json:"mounts,omitempty"`
	Addresses []Address `json:"addresses,omitempty"`
	Processes []Process `json:"processes,omitempty"`
	// Exports are the directories that the host's file servers export.
	Exports []string `json:"exports,omitempty"`
	// Records are the run state: what the agent says that it runs. Damaged names records that cannot be read.
	Records []Record `json:"records,omitempty"`
	Damaged []string `json:"damaged,omitempty"`
}

// Lease is the agent's right to go on with what runs (R7), as it stood when the host was looked at.
type Lease struct {
	// Left is how long it still runs; negative since it has ended.
	Left time.Duration `json:"left"`
	// SelfFence and Witness are how long after its end everything must be offline.
	SelfFence time.Duration `json:"selfFence"`
	Witness   time.Duration `json:"witness,omitempty"`
	// Acting says that the host may start things; Members are the nodes of its view. Both are the agent's own words.
	Acting  bool     `json:"acting,omitempty"`
	View    string   `json:"view,omitempty"`
	Members []string `json:"members,omitempty"`
}

// Mount is a file system that is mounted.
type Mount struct {
	Path   string `json:"path"`
	Type   string `json:"type"`
	Source string `json:"source"`
	// Backing is the file behind the loop device; empty for other devices.
	Backing string `json:"backing,omitempty"`
}

// Address is one that the host has on an interface.
type Address struct {
	IP        string `json:"ip"`
	Interface string `json:"interface"`
	// MAC is the interface's.
	MAC string `json:"mac,omitempty"`
}

// Process is a process of the host. Arguments may hold secrets, so only their hash is kept.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
	// Command is CommandHash of the arguments.
	Command string `json:"command"`
	// Resource is the UID of the Resource in whose control group it is; empty for none.
	Resource string `json:"resource,omitempty"`
}

// Record is the run state's word about one resource.
type Record struct {
	UID       string      `json:"uid"`
	Namespace string      `json:"namespace"`
	Name      string      `json:"name"`
	Group     string      `json:"group"`
	Type      string      `json:"type"`
	Epoch     model.Epoch `json:"epoch"`
	// Live says that something of the resource may be on the host.
	Live bool `json:"live"`
	// MountPath and Address are those of its spec, if it has any.
	MountPath string `json:"mountPath,omitempty"`
	Address   string `json:"address,omitempty"`
}

// Disk is the reservation of a disk, as the disk itself tells it.
type Disk struct {
	// Device is its name in Resources.
	Device string    `json:"device"`
	At     time.Time `json:"at"`
	// From is the host that has read it.
	From   string             `json:"from"`
	Status reservation.Status `json:"status"`
}

// Answer is who has answered for an address when it was asked for.
type Answer struct {
	IP   string    `json:"ip"`
	At   time.Time `json:"at"`
	From string    `json:"from"`
	// MACs are the hardware addresses that answered, in each of two questions asked one right after the other.
	MACs []string `json:"macs"`
}

// host returns the facts of a node's host, or nil.
func (l *Look) host(node string) *Host {
	for i := range l.Hosts {
		if l.Hosts[i].Node == node {
			return &l.Hosts[i]
		}
	}
	return nil
}

// disk returns what a disk says, or nil.
func (l *Look) disk(device string) *Disk {
	for i := range l.Disks {
		if l.Disks[i].Device == device {
			return &l.Disks[i]
		}
	}
	return nil
}
