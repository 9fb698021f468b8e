package disks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/genericapplication"
	"github.com/quorate/quorate/pkg/resourcetype/physicaldisk"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/test/vm/guest"
)

// agent is what runs the groups of one host: the real monitor with the lifecycle's machine, the run state on disk, the real types.
type agent struct {
	*monitor.Monitor
	t       *testing.T
	options monitor.Options
	self    model.Member
	device  string
	mount   string
	// quorate is the lease: without it nothing may be started (O8).
	quorate *atomic.Bool
}

var errNoLease = errors.New("no quorum")

func newAgent(t *testing.T, node model.NodeID, device string) *agent {
	t.Helper()
	dir := t.TempDir()
	a := &agent{
		t: t, self: model.Member{ID: node, Generation: 1}, device: device, mount: filepath.Join(dir, "mnt"), quorate: new(atomic.Bool),
	}
	a.quorate.Store(true)
	types := resourcetype.NewRegistry()
	types.Register(physicaldisk.Name, physicaldisk.New())
	types.Register("GenericApplication", genericapplication.New())
	a.options = monitor.Options{
		Types: types, NodeName: fmt.Sprintf("node-%d", node), Node: node, Generation: 1, Cluster: "demo", ClusterID: "abcdef0123456789",
		CgroupRoot: cgrouptest.Root(t), RunDir: filepath.Join(dir, "run"), Log: testr.New(t).WithName(fmt.Sprintf("node-%d", node)),
		MayAct: func() error {
			if !a.quorate.Load() {
				return errNoLease
			}
			return nil
		},
	}
	t.Cleanup(func() {
		if t.Failed() {
			_, found := a.mounted()
			t.Logf("node %d: mounted %v, %+v", node, found, a.Reports())
		}
		a.StopAll(context.Background(), runstate.BootTime()+20*time.Second)
		a.Close()
		for unix.Unmount(a.mount, unix.MNT_DETACH) == nil {
		}
	})
	a.start()
	return a
}

// start is the beginning of an agent's process: it adopts what an earlier one has left running, and cleans up the rest.
func (a *agent) start() {
	a.t.Helper()
	store, err := runstate.Open(a.options.RunDir, filepath.Join(filepath.Dir(a.options.RunDir), "state"))
	must(a.t, err)
	a.options.Store = store
	a.Monitor, err = monitor.New(a.options)
	must(a.t, err)
	// Proof by time is out of reach: what starts here within the test's time has the disk's own proof.
	a.SetFencing(lifecycle.Fencing{SelfFence: 24 * time.Hour})
	_, err = a.Adopt()
	must(a.t, err)
	if left := a.CleanUp(a.t.Context()); len(left) > 0 {
		a.t.Errorf("node %d has left: %+v", a.self.ID, left)
	}
}

// restart ends the agent's process and starts the next one; what it runs goes on.
func (a *agent) restart() {
	a.t.Helper()
	a.Close()
	must(a.t, a.options.Store.Close())
	a.start()
}

func (a *agent) view(number uint64, members ...model.Member) {
	a.ViewInstalled(lifecycle.View{At: runstate.BootTime(), ID: model.ViewID{Number: number, Coordinator: members[0].ID}, Members: members})
}

// assign gives the group to this host, or with run unset takes it away.
func (a *agent) assign(run bool, epoch model.Epoch, view uint64, unproven ...model.Owner) {
	a.t.Helper()
	one := func(name, kind, spec string, deps ...lifecycle.Dependency) monitor.ResourceDesired {
		return monitor.ResourceDesired{
			Resource: resourcetype.Identity{UID: "uid-" + name, Namespace: "demo", Name: name}, Type: kind, Spec: json.RawMessage(spec),
			Online: true, DependsOn: deps, Timing: lifecycle.Timing{}.WithDefaults(),
		}
	}
	script := fmt.Sprintf("echo started by %d >> %s/starts; while :; do sleep 1; done", a.self.ID, a.mount)
	must(a.t, a.Apply(monitor.GroupDesired{
		Group: resourcetype.Identity{UID: "uid-group", Namespace: "demo", Name: "group"},
		Run:   run, Epoch: epoch, View: model.ViewID{Number: view, Coordinator: a.self.ID}, Unproven: unproven,
		Resources: []monitor.ResourceDesired{
			one("disk", physicaldisk.Name, fmt.Sprintf(
				`{"type":"PhysicalDisk","physicalDisk":{"device":%q,"mountPath":%q,"fsType":"ext4","options":["commit=300"]}}`, a.device, a.mount)),
			one("app", "GenericApplication", fmt.Sprintf(
				`{"type":"GenericApplication","genericApplication":{"command":["/bin/sh","-c",%q]}}`, script), lifecycle.On("disk")),
		},
	}))
}

func (a *agent) report() monitor.GroupReport {
	a.t.Helper()
	reports := a.Reports()
	if len(reports) != 1 {
		a.t.Fatalf("node %d reports %+v", a.self.ID, reports)
	}
	return reports[0]
}

func (a *agent) until(what string, holds func(monitor.GroupReport) bool) {
	a.t.Helper()
	guest.Eventually(a.t, fmt.Sprintf("node %d to be %s", a.self.ID, what), func() bool { return holds(a.report()) })
}

func online(epoch model.Epoch) func(monitor.GroupReport) bool {
	return func(r monitor.GroupReport) bool { return r.Running == epoch && r.AllOnline }
}

func (a *agent) mounted() (filesystem.Mounted, bool) {
	a.t.Helper()
	m, found, err := filesystem.FindMount(a.mount)
	must(a.t, err)
	return m, found
}

// has waits for it: an application counts as online from the start of its process, before its script has written anything.
func (a *agent) has(name, want string) {
	a.t.Helper()
	guest.Eventually(a.t, fmt.Sprintf("node %d to read %q in %s", a.self.ID, want, name), func() bool {
		got, err := os.ReadFile(filepath.Join(a.mount, name))
		return err == nil && string(got) == want
	})
}

// TestGuestAgents takes a group with a PhysicalDisk through the lives of two agents on a real target: first owner; partition, where the
// new owner starts at once by the disk's proof alone while the old one still has it mounted; the old one's write refused and its agent
// stale; a restart of the new owner's agent; a planned move back; and the loss of quorum.
func TestGuestAgents(t *testing.T) {
	guest.Require(t)
	lun := guest.NewLUN(t, 64)
	devices := lun.Paths(t, 2)
	guest.Run(t, "mkfs.ext4", "-q", devices[0])
	a, b := newAgent(t, 1, devices[0]), newAgent(t, 2, devices[1])
	a.view(1, a.self, b.self)
	b.view(1, a.self, b.self)
	a.assign(true, 1, 1)
	a.until("online at epoch 1", online(1))
	witness(t, devices[1], key(1, 1), key(1, 1))
	a.has("starts", "started by 1\n")
	guest.Run(t, "sync", "-f", a.mount)
	late, err := os.Create(filepath.Join(a.mount, "late"))
	must(t, err)
	_, err = late.WriteString(strings.Repeat("LATE", 1<<16))
	must(t, err)

	// Node 2 acts in a view without node 1, which knows nothing of it and still serves.
	b.view(2, b.self)
	b.assign(true, 2, 2, model.Owner{Node: "node-1", ID: 1, Generation: 1, Epoch: 1})
	b.until("online at epoch 2", online(2))
	if r := b.report(); !r.Fenced || !slices.Contains(r.Proofs, lifecycle.Proof{Resource: "disk", Type: lifecycle.ProofReservation}) {
		t.Errorf("the new owner is online with the proofs %+v", r.Proofs)
	}
	if late.Sync() == nil {
		t.Error("S2: the old owner still writes")
	}
	must(t, late.Close())
	if holds(t, lun.File, "LATELATE") {
		t.Error("S2: something of the old owner reached the disk")
	}
	b.has("starts", "started by 1\nstarted by 2\n")
	a.until("down, and know of epoch 2", func(r monitor.GroupReport) bool {
		_, found := a.mounted()
		return !found && r.Floor == 2 && r.State == model.GroupOffline
	})
	witness(t, devices[0], key(2, 2), key(2, 2)) // what the old owner tried since has changed nothing

	before, _ := b.mounted()
	b.restart()
	b.view(2, b.self)
	b.until("online at epoch 2 again", online(2))
	if after, found := b.mounted(); !found || before.Info.ID != after.Info.ID {
		t.Errorf("a restart of the agent has mounted the disk anew: %v became %v", before.Info, after.Info)
	}
	b.has("starts", "started by 1\nstarted by 2\n")

	// The move back: released, parked, taken over.
	b.assign(false, 3, 2)
	b.until("released", func(r monitor.GroupReport) bool {
		return r.Released == 3 && r.ReleasedHow == lifecycle.ReleasedGraceful && r.Running == 0
	})
	if _, found := b.mounted(); found {
		t.Error("S9: the disk is still mounted where it was released")
	}
	witness(t, devices[0], key(2, 2), key(2, 2)) // parked (O15)
	a.self.Generation = 2                        // it has been without quorum
	must(t, a.SetIdentity(1, 2, a.options.ClusterID))
	a.view(3, a.self, b.self)
	a.assign(true, 4, 3)
	a.until("online at epoch 4", online(4))
	a.has("starts", "started by 1\nstarted by 2\nstarted by 1\n")

	a.quorate.Store(false)
	a.ViewLost()
	if left := a.StopAll(t.Context(), runstate.BootTime()+60*time.Second); len(left) > 0 {
		t.Errorf("S4: after the loss of quorum there is left: %+v", left)
	}
	if _, found := a.mounted(); found {
		t.Error("S4: the disk is still mounted after the loss of quorum")
	}
	witness(t, devices[1], key(1, 4), key(1, 4))
}
