// Package protocol is what the lab's daemon and its clients agree on: where things are, and the requests and answers on the
// daemon's socket.
package protocol

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// DefaultName is the name of the lab that commands speak to when none is given.
const DefaultName = "lab"

// Names of the hosts that are always there, beside node-a, node-b and so on.
const (
	// Client is the host on the lan from which services are used; it runs nothing of ours.
	Client = "client"
	// API is the host that runs etcd and kube-apiserver.
	API = "api"
)

// Namespace is where the lab puts the Secrets and Leases of the system.
const Namespace = "quorate-system"

// SampleNamespace is where samples live.
const SampleNamespace = "demo"

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

// Layout tells where a lab of a name keeps its files and control groups.
type Layout struct {
	Name string
}

// NewLayout checks the lab's name.
func NewLayout(name string) (Layout, error) {
	if name == "" {
		name = DefaultName
	}
	if !validName.MatchString(name) {
		return Layout{}, fmt.Errorf("lab name %q: use up to 20 lower-case letters, digits and dashes", name)
	}
	return Layout{Name: name}, nil
}

// stateRoot holds one directory for each lab: the hosts' own disks, the shared disks, logs and sockets. It is in memory where the
// machine has /dev/shm, so that hosts which flush a record before they speak do not all wait for one busy disk of the machine.
var stateRoot = chooseRoot("/dev/shm", "/var/lib")

func chooseRoot(parents ...string) string {
	for _, parent := range parents {
		if info, err := os.Stat(parent); err == nil && info.IsDir() {
			return filepath.Join(parent, "quorate-lab")
		}
	}
	return filepath.Join(os.TempDir(), "quorate-lab")
}

// Labs lists the names of the labs that have state on this machine.
func Labs() ([]string, error) {
	entries, err := os.ReadDir(stateRoot)
	if os.IsNotExist(err) {
		return nil, nil
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, err
}

// MakeDirs makes the lab's directories.
func (l Layout) MakeDirs() error {
	var err error
	for range 3 { // the end of the last other lab may remove their common parent just now
		if err = os.MkdirAll(l.Logs(), 0o700); err == nil {
			return nil
		}
	}
	return fmt.Errorf("make the lab's directories: %w", err)
}

// RemoveRoot removes the common parent of all labs' directories, if there is none.
func (l Layout) RemoveRoot() { _ = os.Remove(stateRoot) }

// Dir is the lab's state directory.
func (l Layout) Dir() string { return filepath.Join(stateRoot, l.Name) }

// Lock is the file whose lock the lab's keeper holds while the lab lives. It is outside of Dir, which goes away with the lab.
func (l Layout) Lock() string { return filepath.Join("/run/lock", "quorate-lab-"+l.Name) }

// Socket is the daemon's control socket.
func (l Layout) Socket() string { return filepath.Join(l.Dir(), "lab.sock") }

// OptionsFile holds the options that the lab was started with.
func (l Layout) OptionsFile() string { return filepath.Join(l.Dir(), "options.json") }

// FilesFile lists, as lines of JSON, the files that the lab's loop devices may be over.
func (l Layout) FilesFile() string { return filepath.Join(l.Dir(), "files.json") }

// Kubeconfig is the operator's kubeconfig.
func (l Layout) Kubeconfig() string { return filepath.Join(l.Dir(), "kubeconfig") }

// Logs holds a directory for each host, and daemon.log.
func (l Layout) Logs() string { return filepath.Join(l.Dir(), "logs") }

// DaemonLog is the log of the daemon and of its keeper.
func (l Layout) DaemonLog() string { return filepath.Join(l.Logs(), "daemon.log") }

// Disks holds the backing files of the shared disks.
func (l Layout) Disks() string { return filepath.Join(l.Dir(), "disks") }

// Fence holds the lab's fence agent and the socket of the power switch behind it.
func (l Layout) Fence() string { return filepath.Join(l.Dir(), "fence") }

// Host is the directory of a host's own files on the machine.
func (l Layout) Host(name string) string { return filepath.Join(l.Dir(), "hosts", name) }

// CgroupName is the lab's control group below the root of the unified hierarchy.
func (l Layout) CgroupName() string { return "quorate-lab-" + l.Name }
