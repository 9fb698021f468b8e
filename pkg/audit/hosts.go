package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
)

// CommandHash stands for a process's arguments.
func CommandHash(arguments []string) string {
	sum := sha256.Sum256([]byte(strings.Join(arguments, "\x00")))
	return hex.EncodeToString(sum[:12])
}

// traces are what of a resource is really on a host.
func traces(h *Host, r *v1alpha1.Resource) []string {
	var found []string
	if path := MountPath(&r.Spec); path != "" {
		for _, m := range h.Mounts {
			if m.Path == path {
				found = append(found, fmt.Sprintf("%s is mounted on %s", orUnknown(m.Backing, m.Source), m.Path))
			}
		}
	}
	if ip := AddressOf(&r.Spec); ip != "" {
		for _, a := range h.Addresses {
			if a.IP == ip {
				found = append(found, fmt.Sprintf("address %s is on %s", a.IP, a.Interface))
			}
		}
	}
	for _, p := range h.Processes {
		if p.Resource != "" && p.Resource == string(r.UID) {
			found = append(found, fmt.Sprintf("process %d (%s) runs in its control group", p.PID, p.Name))
		}
	}
	if share := r.Spec.FileShare; share != nil && slices.Contains(h.Exports, share.Path) {
		found = append(found, share.Path+" is exported")
	}
	return found
}

func orUnknown(names ...string) string {
	for _, name := range names {
		if name != "" {
			return name
		}
	}
	return "something"
}

// MountPath is where the resource's disk is mounted; empty for other types.
func MountPath(spec *v1alpha1.ResourceSpec) string {
	switch {
	case spec.LoopbackDisk != nil:
		return spec.LoopbackDisk.MountPath
	case spec.PhysicalDisk != nil:
		return spec.PhysicalDisk.MountPath
	}
	return ""
}

// AddressOf is the resource's address without its prefix length, in the form in which hosts tell theirs; empty for other types.
func AddressOf(spec *v1alpha1.ResourceSpec) string {
	if spec.IPAddress == nil {
		return ""
	}
	prefix, err := netip.ParsePrefix(spec.IPAddress.Address)
	if err != nil {
		return "" // the API refuses it
	}
	return prefix.Addr().String()
}

func onHost(h *Host, facts []string) []Evidence {
	evidence := make([]Evidence, 0, len(facts))
	for _, fact := range facts {
		evidence = append(evidence, Evidence{Time: h.At, Source: SourceHosts, Fact: h.Node + ": " + fact})
	}
	return evidence
}

// leftOver is S9, or S1 when the owner has the resource too: nothing of a resource is on a host that does not own its group.
func leftOver(s *scene) []suspicion {
	var all []suspicion
	for _, g := range s.groups {
		for _, r := range g.resources {
			for i := range s.Hosts {
				h := &s.Hosts[i]
				if g.epochAt(h.Node) > 0 || h.Halted {
					continue
				}
				facts := traces(h, r)
				if len(facts) == 0 {
					continue
				}
				all = append(all, s.left(g, r, h, facts))
			}
		}
	}
	return all
}

func (s *scene) left(g *groupScene, r *v1alpha1.Resource, h *Host, facts []string) suspicion {
	invariant, message := "S9", fmt.Sprintf("something of it is left on %s, which does not own its group: %s", h.Node, strings.Join(facts, "; "))
	evidence := append(onHost(h, facts), s.fromAPI("group %s is %s", g.key, g.owner()))
	if owner := s.host(g.assigned.Node); owner != nil {
		if there := traces(owner, r); len(there) > 0 {
			invariant = "S1"
			message = fmt.Sprintf("it is on %s and on %s at the same time", h.Node, owner.Node)
			evidence = append(evidence, onHost(owner, there)...)
		}
	}
	grace := s.stopGrace()
	if g.releasing(h.Node) {
		grace = s.options.Pending
	}
	return s.suspect(invariant, resourceObject(r), fmt.Sprint(h.Node, " ", g.assigned.Epoch), message,
		fmt.Sprintf("Remove it on %s by hand, once `quorate-agent audit --local` there says that nothing uses it", h.Node), evidence...).within(grace)
}

// processesOutside is S9 for what nobody started through Quorate: a process with a resource's very command, in no control group of
// the resource, nor of another one that has the same command.
func processesOutside(s *scene) []suspicion {
	commands := map[string]string{} // by the UID of the resource
	for _, g := range s.groups {
		for _, r := range g.resources {
			if r.Spec.GenericApplication != nil {
				commands[string(r.UID)] = CommandHash(r.Spec.GenericApplication.Command)
			}
		}
	}
	var all []suspicion
	for _, g := range s.groups {
		for _, r := range g.resources {
			want, found := commands[string(r.UID)]
			if !found {
				continue
			}
			for i := range s.Hosts {
				h := &s.Hosts[i]
				for _, p := range h.Processes {
					if p.Command != want || commands[p.Resource] == want || h.Halted {
						continue
					}
					fact := fmt.Sprintf("process %d (%s) has the resource's command, outside of its control group", p.PID, p.Name)
					all = append(all, s.suspect("S9", resourceObject(r), fmt.Sprint("outside ", h.Node, p.PID),
						fmt.Sprintf("its command runs on %s as process %d, which Quorate has not started", h.Node, p.PID),
						fmt.Sprintf("Find out who has started it, and end it: kill %d on %s", p.PID, h.Node),
						append(onHost(h, []string{fact}), s.fromAPI("group %s is %s", g.key, g.owner()))...))
				}
			}
		}
	}
	return all
}

// strangeMounts is S9 for what no Resource names any more: a mount below a directory that the Cluster keeps for disks.
func strangeMounts(s *scene) []suspicion {
	if s.Objects == nil || s.Objects.Cluster == nil {
		return nil
	}
	known := map[string]bool{}
	for _, r := range s.Objects.Resources {
		known[MountPath(&r.Spec)] = true
	}
	var all []suspicion
	for i := range s.Hosts {
		h := &s.Hosts[i]
		for _, m := range h.Mounts {
			if known[m.Path] || !s.keptForDisks(m.Path) || h.Halted {
				continue
			}
			all = append(all, s.suspect("S9", "Node "+h.Node, "mount "+m.Path,
				fmt.Sprintf("%s is mounted on %s there, and no Resource has that mountPath", orUnknown(m.Backing, m.Source), m.Path),
				"Unmount it, if nothing uses it: umount "+m.Path, onHost(h, []string{"mounted: " + m.Path})...).within(s.stopGrace()))
		}
	}
	return all
}

func (s *scene) keptForDisks(path string) bool {
	for _, entry := range s.Objects.Cluster.Spec.AllowedResourceTypes {
		for _, root := range entry.MountRoots {
			if strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/") {
				return true
			}
		}
	}
	return false
}

// reportedButAbsent is L1 for a group that only seems to be served: its owner reports a resource Online and nothing of it is there.
func reportedButAbsent(s *scene) []suspicion {
	var all []suspicion
	for _, g := range s.groups {
		for _, node := range g.holders() {
			if h := s.host(node); h != nil && !h.Halted {
				all = append(all, s.absent(g, h)...)
			}
		}
	}
	return all
}

// absent are the resources that one host reports Online, and that are not there.
func (s *scene) absent(g *groupScene, h *Host) []suspicion {
	var all []suspicion
	for _, r := range g.resources {
		app := r.Spec.GenericApplication
		oneShot := app != nil && app.Mode != v1alpha1.ApplicationDaemon && app.Mode != ""
		visible := MountPath(&r.Spec) != "" || AddressOf(&r.Spec) != "" || app != nil && !oneShot
		if !visible || !g.onlineOn(r, h.Node) || len(traces(h, r)) > 0 {
			continue
		}
		all = append(all, s.suspect("L1", resourceObject(r), fmt.Sprint("absent ", g.epochAt(h.Node)),
			fmt.Sprintf("%s reports it Online, and nothing of it is there", h.Node),
			fmt.Sprintf("Look at the agent of %s: `quorate-agent status` and its log", h.Node),
			s.fromAPI("Online on %s at epoch %d", h.Node, g.epochAt(h.Node)),
			Evidence{Time: h.At, Source: SourceHosts, Fact: h.Node + ": no mount, address or process of it"}).within(s.options.Online))
	}
	return all
}

// withoutQuorum is S4: past the self-fence deadline, nothing runs on a host whose lease has ended.
func withoutQuorum(s *scene) []suspicion {
	var all []suspicion
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if h.Lease == nil || h.Halted || -h.Lease.Left < h.Lease.SelfFence+h.Lease.Witness {
			continue
		}
		facts := h.liveTraces()
		if len(facts) == 0 {
			continue
		}
		facts = append(facts, fmt.Sprintf("its lease ended %s ago, and everything was to be offline %s after that", -h.Lease.Left, h.Lease.SelfFence+h.Lease.Witness))
		all = append(all, s.suspect("S4", "Node "+h.Node, "without quorum",
			"it has no quorum, and something still runs there past the self-fence deadline",
			"Cut the host's power, or stop by hand what runs there; then look at why neither agent nor guardian did", onHost(h, facts)...).
			within(h.Lease.SelfFence+s.options.Motion))
	}
	return all
}

// liveTraces are what of the resources of the run state is really there.
func (h *Host) liveTraces() []string {
	var facts []string
	for _, r := range h.Records {
		if r.Live {
			facts = append(facts, h.tracesOfRecord(&r)...)
		}
	}
	return facts
}

// tracesOfRecord are what is on the host of a resource that the run state names.
func (h *Host) tracesOfRecord(r *Record) []string {
	var facts []string
	for _, m := range h.Mounts {
		if r.MountPath != "" && m.Path == r.MountPath {
			facts = append(facts, fmt.Sprintf("%s/%s: %s is mounted", r.Namespace, r.Name, m.Path))
		}
	}
	for _, a := range h.Addresses {
		if r.Address != "" && a.IP == r.Address {
			facts = append(facts, fmt.Sprintf("%s/%s: address %s is on %s", r.Namespace, r.Name, a.IP, a.Interface))
		}
	}
	for _, p := range h.Processes {
		if p.Resource == r.UID {
			facts = append(facts, fmt.Sprintf("%s/%s: process %d (%s) runs", r.Namespace, r.Name, p.PID, p.Name))
		}
	}
	return facts
}

// recordless is S9 as a host alone can tell it: a process in a resource's control group of which the run state knows nothing, or of a
// resource that the run state says is not there.
func recordless(s *scene) []suspicion {
	var all []suspicion
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if h.Halted {
			continue
		}
		live := map[string]bool{}
		for _, r := range h.Records {
			live[r.UID] = r.Live
			facts := h.tracesOfRecord(&r)
			if r.Live || len(facts) == 0 {
				continue
			}
			all = append(all, s.suspect("S9", fmt.Sprintf("Resource %s/%s", r.Namespace, r.Name), "idle on "+h.Node,
				fmt.Sprintf("the run state of %s says that nothing of it is there, and it is: %s", h.Node, strings.Join(facts, "; ")),
				"Restart the agent, which cleans up when it starts; if it stays, remove it by hand", onHost(h, facts)...).within(s.stopGrace()))
		}
		for _, p := range h.Processes {
			if _, known := live[p.Resource]; p.Resource == "" || known {
				continue
			}
			fact := fmt.Sprintf("process %d (%s) runs in the control group of resource %s", p.PID, p.Name, p.Resource)
			all = append(all, s.suspect("S9", "Node "+h.Node, "unknown "+p.Resource,
				"a process runs in a resource's control group, and the run state knows nothing of that resource",
				"Restart the agent, which cleans up when it starts; if it stays, end the process by hand", onHost(h, []string{fact})...).
				within(s.stopGrace()))
		}
		for _, path := range h.Damaged {
			all = append(all, s.suspect("S9", "Node "+h.Node, "damaged "+path,
				"a record of the run state cannot be read: what it stands for may be forgotten there",
				"Restart the agent, which cleans up when it starts, and remove the file", onHost(h, []string{path})...).notice())
		}
	}
	return all
}
