package daemon

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/quorate/quorate/test/lab/controlplane"
	"github.com/quorate/quorate/test/lab/host"
	"github.com/quorate/quorate/test/lab/install"
	"github.com/quorate/quorate/test/lab/network"
	"github.com/quorate/quorate/test/lab/protocol"
)

// Where hosts find what the lab gives them.
const (
	binDir    = "/opt/quorate/bin"
	etcDir    = "/opt/quorate/etc"
	stateDir  = "/var/lib/quorate"
	arrayDir  = "/array"
	runDir    = "/run/quorate"
	agentRoot = "/sys/fs/cgroup/quorate"
)

// spec says what a host is made of.
func (d *Daemon) spec(h *hostState, bootID string) (host.Spec, error) {
	spec := host.Spec{
		Name: h.name, Staging: filepath.Join(d.layout.Host(h.name), "root"), BootID: bootID,
		HostsFile: network.HostsFile(d.numbers(), protocol.API),
	}
	bind := func(source, target string, readOnly bool) error {
		if err := os.MkdirAll(source, 0o755); err != nil {
			return fmt.Errorf("host %s: %w", h.name, err)
		}
		spec.Binds = append(spec.Binds, host.Bind{Source: source, Target: target, ReadOnly: readOnly})
		return nil
	}
	if err := bind(filepath.Join(d.layout.Logs(), h.name), "/var/log", false); err != nil {
		return spec, err
	}
	if err := bind(d.options.BinDir, binDir, true); err != nil {
		return spec, err
	}
	if h.server {
		spec.Binds = append(spec.Binds, d.cp.Binds()...)
		// A host that boots while the API is stopped leaves its part stopped.
		spec.Processes = d.cp.Processes(h.name, d.api() != protocol.APIStopped)
	}
	if !h.node {
		return spec, nil
	}
	if err := bind(d.layout.Fence(), fenceDir, true); err != nil {
		return spec, err
	}
	own := d.layout.Host(h.name)
	if h.server {
		etcd := controlplane.DataBind(filepath.Join(own, "etcd"))
		if err := os.MkdirAll(etcd.Source, 0o700); err != nil {
			return spec, fmt.Errorf("host %s: %w", h.name, err)
		}
		spec.Binds = append(spec.Binds, etcd)
	}
	if err := bind(filepath.Join(own, "disk"), stateDir, false); err != nil {
		return spec, err
	}
	if err := bind(filepath.Join(own, "etc"), etcDir, true); err != nil {
		return spec, err
	}
	button, err := d.button(h)
	if err != nil {
		return spec, err
	}
	spec.Binds = append(spec.Binds, host.Bind{Source: button, Target: resetButton})
	// The mount is there already; making its directory would only ask the array.
	spec.Binds = append(spec.Binds, host.Bind{Source: filepath.Join(own, "array"), Target: arrayDir})
	if !d.options.NoAgents && !d.options.NoControlPlane {
		spec.Processes = append(spec.Processes, d.daemons(h)...)
	}
	return spec, nil
}

func (d *Daemon) daemons(h *hostState) []host.Process {
	agent := host.Process{Name: "agent", AutoStart: true, Restart: true, Args: append([]string{
		binDir + "/quorate-agent", "run", "--node", h.name, "--cluster", d.options.Cluster, "--kubeconfig", etcDir + "/agent.kubeconfig",
		"--state-dir", stateDir, "--run-dir", runDir, "--cgroup-root", agentRoot,
		"--sysrq-trigger", resetButton,
	}, d.options.AgentArgs...)}
	if !h.manager {
		return []host.Process{agent}
	}
	manager := host.Process{Name: "manager", AutoStart: true, Restart: true, Args: append([]string{
		binDir + "/quorate-manager", "--kubeconfig", etcDir + "/manager.kubeconfig", "--node", h.name,
		"--decisions-dir", "/var/lib/quorate/decisions",
		"--namespace", protocol.Namespace, "--metrics-bind-address", "0", "--health-probe-bind-address", "0", "--leader-elect=true",
	}, d.options.ManagerArgs...)}
	return []host.Process{agent, manager}
}

func (d *Daemon) numbers() map[string]int {
	numbers := map[string]int{}
	for _, h := range d.hosts {
		numbers[h.name] = h.number
	}
	return numbers
}

// writeKubeconfigs gives the operator, each agent and each manager a kubeconfig with its own certificate. Each names all API servers, a host's
// own first.
func (d *Daemon) writeKubeconfigs() error {
	if err := d.authority.WriteKubeconfig(d.layout.Kubeconfig(), d.outside, install.Operator()); err != nil {
		return err
	}
	for _, h := range d.hosts {
		if !h.node {
			continue
		}
		etc, servers := filepath.Join(d.layout.Host(h.name), "etc"), d.cp.URLs(h.name)
		if err := d.authority.WriteKubeconfig(filepath.Join(etc, "agent.kubeconfig"), servers, install.Agent(h.name)); err != nil {
			return err
		}
		if !h.manager {
			continue
		}
		if err := d.authority.WriteKubeconfig(filepath.Join(etc, "manager.kubeconfig"), servers, install.Manager()); err != nil {
			return err
		}
	}
	return nil
}
