package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/runstate"
)

// HostOptions say which host to look at.
type HostOptions struct {
	// Node is the name of its Node.
	Node string
	// PID is a process of the host whose namespaces are the host's; 0 for the host that this process runs on.
	PID int
	// RunDir is the agent's run directory there, CgroupRoot the control group below which resources have theirs.
	RunDir, CgroupRoot string
}

// proc is the directory of the process that stands for the host.
func (o HostOptions) proc() string {
	if o.PID == 0 {
		return "/proc/self"
	}
	return "/proc/" + strconv.Itoa(o.PID)
}

// path is a path of the host, as this process finds it.
func (o HostOptions) path(path string) string {
	if o.PID == 0 {
		return path
	}
	return filepath.Join(o.proc(), "root", path)
}

// Host looks at what is really on a host: its mounts, addresses, processes, exports and run state. It asks the kernel and reads files;
// the agent is not asked, and need not run. Missing run state is that of a host on which no agent has run.
func Host(ctx context.Context, o HostOptions) (audit.Host, error) {
	h := audit.Host{Node: o.Node, At: time.Now()}
	for _, look := range []func(HostOptions, *audit.Host) error{mounts, addresses, processes, exports, lease, records} {
		if err := ctx.Err(); err != nil {
			return h, err
		}
		if err := look(o, &h); err != nil {
			return h, fmt.Errorf("looking at %s: %w", o.Node, err)
		}
	}
	return h, nil
}

func mounts(o HostOptions, h *audit.Host) error {
	file, err := os.Open(filepath.Join(o.proc(), "mountinfo"))
	if err != nil {
		return fmt.Errorf("opening the mounts: %w", err)
	}
	defer func() { _ = file.Close() }()
	infos, err := mountinfo.GetMountsFromReader(file, nil)
	if err != nil {
		return fmt.Errorf("reading the mounts: %w", err)
	}
	for _, i := range infos {
		m := audit.Mount{Path: i.Mountpoint, Type: i.FSType, Source: i.Source}
		if name, loop := strings.CutPrefix(i.Source, "/dev/"); loop && strings.HasPrefix(name, "loop") {
			backing, err := os.ReadFile(filepath.Join("/sys/block", name, "loop/backing_file"))
			if err == nil { // it may have gone since
				m.Backing = strings.TrimSpace(string(backing))
			}
		}
		h.Mounts = append(h.Mounts, m)
	}
	return nil
}

func addresses(o HostOptions, h *audit.Host) error {
	handle, err := networkOf(o)
	if err != nil {
		return err
	}
	defer handle.Close()
	links, err := handle.LinkList()
	if err != nil {
		return fmt.Errorf("listing the interfaces: %w", err)
	}
	byIndex := make(map[int]*netlink.LinkAttrs, len(links))
	for _, l := range links {
		byIndex[l.Attrs().Index] = l.Attrs()
	}
	addrs, err := handle.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing the addresses: %w", err)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		link := byIndex[a.LinkIndex]
		if !ok || link == nil || link.Flags&net.FlagLoopback != 0 && ip.IsLoopback() {
			continue
		}
		h.Addresses = append(h.Addresses, audit.Address{IP: ip.Unmap().String(), Interface: link.Name, MAC: link.HardwareAddr.String()})
	}
	return nil
}

func networkOf(o HostOptions) (*netlink.Handle, error) {
	if o.PID == 0 {
		return netlink.NewHandle()
	}
	ns, err := netns.GetFromPid(o.PID)
	if err != nil {
		return nil, fmt.Errorf("finding the network namespace: %w", err)
	}
	defer func() { _ = ns.Close() }()
	return netlink.NewHandleAt(ns)
}

// processes lists those of the host's process namespace, and those in its resources' control groups wherever they are.
func processes(o HostOptions, h *audit.Host) error {
	byResource, err := resourceProcesses(o.path(o.CgroupRoot))
	if err != nil {
		return err
	}
	own, err := os.Readlink(filepath.Join(o.proc(), "ns/pid"))
	if err != nil {
		return fmt.Errorf("finding the process namespace: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		namespace, err := os.Readlink(filepath.Join("/proc", e.Name(), "ns/pid"))
		if uid := byResource[pid]; err != nil || namespace != own && uid == "" {
			continue // it has ended, or is another host's
		}
		if p, ok := process(pid); ok {
			p.Resource = byResource[pid]
			h.Processes = append(h.Processes, p)
		}
	}
	return nil
}

// process reads a process; one that has ended, and a thread of the kernel, have no arguments.
func process(pid int) (audit.Process, bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(raw) == 0 {
		return audit.Process{}, false
	}
	arguments := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
	return audit.Process{PID: pid, Name: filepath.Base(arguments[0]), Command: audit.CommandHash(arguments)}, true
}

// resourceProcesses are the processes in control groups of resources, which are named TYPE-UID, with the UID.
func resourceProcesses(root string) (map[int]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing control groups: %w", err)
	}
	byResource := map[int]string{}
	for _, e := range entries {
		_, uid, named := strings.Cut(e.Name(), "-")
		if !e.IsDir() || !named {
			continue
		}
		pids, err := cgroup.At(filepath.Join(root, e.Name())).Processes()
		if err != nil {
			return nil, err
		}
		for _, pid := range pids {
			byResource[pid] = uid
		}
	}
	return byResource, nil
}

// exports reads what the kernel's NFS server has been told to export.
func exports(o HostOptions, h *audit.Host) error {
	raw, err := os.ReadFile(o.path("/var/lib/nfs/etab"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the exports: %w", err)
	}
	h.Exports = parseExports(raw)
	return nil
}

// parseExports reads the table: a path and its clients on each line.
func parseExports(raw []byte) []string {
	var paths []string
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[0], "/") {
			paths = append(paths, fields[0])
		}
	}
	return paths
}

// standing is what the audit reads of the agent's status file.
type standing struct {
	View    string   `json:"view"`
	Members []string `json:"members"`
	Acting  bool     `json:"acting"`
}

// lease reads the agent's lease, and by its own words whether it acts, and with whom.
func lease(o HostOptions, h *audit.Host) error {
	l, err := runstate.ReadLease(o.path(o.RunDir))
	if errors.Is(err, runstate.ErrNoLease) {
		return nil
	}
	if err != nil {
		return err
	}
	h.Lease = &audit.Lease{Left: l.KeepingUntil - runstate.BootTime(), SelfFence: l.SelfFence, Witness: l.StopBegins() - l.KeepingUntil}
	raw, err := os.ReadFile(filepath.Join(o.path(o.RunDir), "status.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the agent's status: %w", err)
	}
	var s standing
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("reading the agent's status: %w", err)
	}
	h.Lease.Acting, h.Lease.View = s.Acting, s.View
	for _, member := range s.Members {
		name, _, _ := strings.Cut(member, " ")
		h.Lease.Members = append(h.Lease.Members, name)
	}
	return nil
}

func records(o HostOptions, h *audit.Host) error {
	found, damage := runstate.At(o.path(o.RunDir)).Resources()
	for _, d := range damage {
		h.Damaged = append(h.Damaged, d.Error())
	}
	for _, r := range found {
		record := audit.Record{
			UID: r.Resource.UID, Namespace: r.Resource.Namespace, Name: r.Resource.Name, Group: r.Group.Name, Type: r.Type,
			Epoch: r.Epoch, Live: r.Live(),
		}
		var spec v1alpha1.ResourceSpec
		if err := json.Unmarshal(r.Spec, &spec); err == nil {
			record.MountPath, record.Address = audit.MountPath(&spec), audit.AddressOf(&spec)
		}
		h.Records = append(h.Records, record)
	}
	return nil
}
