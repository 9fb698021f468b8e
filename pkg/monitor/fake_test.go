package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

// host is what exists outside of the agent: it survives a crash of the monitor.
type host struct {
	mu sync.Mutex
	// instances counts the running instances by resource name; starts counts how often each was started.
	instances, starts map[string]int
	keys              map[string]model.Epoch
	calls             []string
	sick              map[string]error
	fail              map[string]error // by "Op name"
	exits             map[string]chan error
	// stop blocks for ever at the named point ("Online.before app", "Online.after app"): the agent is killed there.
	stop    string
	stopped chan struct{}
	data    map[string]string
}

func newHost() *host {
	return &host{
		instances: map[string]int{}, starts: map[string]int{}, keys: map[string]model.Epoch{}, sick: map[string]error{},
		fail: map[string]error{}, exits: map[string]chan error{}, stopped: make(chan struct{}), data: map[string]string{},
	}
}

// point is a place where the agent may die.
func (h *host) point(name string) {
	h.mu.Lock()
	hit := h.stop == name
	if hit {
		h.stop = ""
		close(h.stopped)
	}
	h.mu.Unlock()
	if hit {
		select {}
	}
}

func (h *host) call(op string, inst *resourcetype.Instance) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, op+" "+inst.Resource.Name)
	return h.fail[op+" "+inst.Resource.Name]
}

func (h *host) count(name string) (instances, starts int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.instances[name], h.starts[name]
}

func (h *host) log() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

func (h *host) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// fakeType is a resource type on the host.
type fakeType struct{ host *host }

type fakeData struct{ Started string }

func (f fakeType) Online(ctx context.Context, inst *resourcetype.Instance) error {
	name := inst.Resource.Name
	f.host.point("Online.before " + name)
	if err := inst.Save(fakeData{Started: "intent"}); err != nil {
		return err
	}
	f.host.set(func() {
		// As the interface asks: what an interrupted Online has left is removed first.
		f.host.instances[name] = 1
		f.host.starts[name]++
	})
	f.host.point("Online.after " + name)
	if err := f.host.call("Online", inst); err != nil {
		return err
	}
	if f.host.hang(ctx, "Online "+name) {
		return ctx.Err()
	}
	return inst.Save(fakeData{Started: "yes"})
}

// hang waits for the context when the call is to hang.
func (h *host) hang(ctx context.Context, call string) bool {
	h.mu.Lock()
	hangs := h.data["hang"] == call
	h.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	return hangs
}

func (f fakeType) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	f.host.point("Offline.before " + inst.Resource.Name)
	if err := f.host.call("Offline", inst); err != nil {
		return err
	}
	if f.host.hang(ctx, "Offline "+inst.Resource.Name) {
		return ctx.Err()
	}
	f.host.set(func() { f.host.instances[inst.Resource.Name] = 0 })
	f.host.point("Offline.after " + inst.Resource.Name)
	return nil
}

func (f fakeType) Terminate(_ context.Context, inst *resourcetype.Instance) error {
	f.host.point("Terminate.before " + inst.Resource.Name)
	if err := f.host.call("Terminate", inst); err != nil {
		return err
	}
	f.host.set(func() { f.host.instances[inst.Resource.Name] = 0 })
	f.host.point("Terminate.after " + inst.Resource.Name)
	return nil
}

func (f fakeType) LooksAlive(_ context.Context, inst *resourcetype.Instance) error {
	if err := f.host.call("LooksAlive", inst); err != nil {
		return err
	}
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	return f.host.sick[inst.Resource.Name]
}

func (f fakeType) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	if err := f.host.call("IsAlive", inst); err != nil {
		return err
	}
	f.host.hang(ctx, "IsAlive "+inst.Resource.Name)
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	return f.host.sick[inst.Resource.Name]
}

func (f fakeType) Adopt(_ context.Context, inst *resourcetype.Instance) error {
	f.host.point("Adopt.before " + inst.Resource.Name)
	if err := f.host.call("Adopt", inst); err != nil {
		return err
	}
	var data fakeData
	if found, err := inst.LoadData(&data); err != nil || !found {
		return errors.Join(err, errors.New("no data"))
	}
	if n, _ := f.host.count(inst.Resource.Name); n != 1 {
		return fmt.Errorf("%d instances", n)
	}
	return nil
}

func (f fakeType) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	failures := make(chan error, 1)
	f.host.set(func() { f.host.exits[inst.Resource.Name] = failures })
	return failures, nil
}

// fakeDisk reserves; fakeAddress is guarded.
type fakeDisk struct{ fakeType }

func (f fakeDisk) Device(inst *resourcetype.Instance) (string, error) { return inst.Resource.Name, nil }

func (f fakeDisk) Reserve(_ context.Context, inst *resourcetype.Instance) (resourcetype.ReserveResult, error) {
	f.host.point("Reserve.before " + inst.Resource.Name)
	if err := f.host.call("Reserve", inst); err != nil {
		return resourcetype.ReserveResult{}, err
	}
	f.host.set(func() { f.host.keys[inst.Resource.Name] = inst.Epoch })
	f.host.point("Reserve.after " + inst.Resource.Name)
	return resourcetype.ReserveResult{Enforced: true, Preempted: true, PTPL: true}, nil
}

func (f fakeDisk) Verify(context.Context, *resourcetype.Instance) error { return nil }

type fakeAddress struct{ fakeType }

func (fakeAddress) Guarded() {}

// bed is a monitor on a host.
type bed struct {
	t        *testing.T
	host     *host
	dir      string
	store    *runstate.Store
	m        *Monitor
	types    *resourcetype.Registry
	mu       sync.Mutex
	mayAct   error
	isolated error
	reports  []GroupReport
	hosts    *fakeHosts
	genNow   model.Generation
	bootName string
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, host: newHost(), dir: memoryDir(t), hosts: &fakeHosts{calls: map[string]int{}}, genNow: 1, bootName: "boot-1"}
	b.types = resourcetype.NewRegistry()
	b.types.Register("Disk", fakeDisk{fakeType{b.host}})
	b.types.Register("Address", fakeAddress{fakeType{b.host}})
	b.types.Register("App", fakeType{b.host})
	b.start()
	t.Cleanup(func() { b.m.Close() })
	return b
}

// memoryDir is a directory in memory, as /run is: the run state is written for speed there.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "quorate-monitor-") //nolint:usetesting // t.TempDir is on disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (b *bed) start() {
	b.t.Helper()
	var err error
	if b.store, err = runstate.Open(b.dir+"/run", b.dir+"/state"); err != nil {
		b.t.Fatal(err)
	}
	b.m, err = New(Options{
		Types: b.types, Hosts: b.hosts, Store: b.store, Generation: b.genNow, Node: 1, NodeName: "node-a", ClusterID: "0011223344556677",
		BootID: b.bootName, Log: quiet(b.t),
		MayAct: func() error {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.mayAct
		},
		Isolated: func(string, resourcetype.Identity) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.isolated
		},
		OnChange: func(r GroupReport) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.reports = append(b.reports, r)
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func quiet(t *testing.T) logr.Logger { return testr.NewWithOptions(t, testr.Options{Verbosity: -1}) }

// crash is kill -9: no result of the old monitor counts any more, and no call of it is cancelled or goes on.
func (b *bed) crash() {
	b.t.Helper()
	for _, g := range b.m.all() {
		g.mu.Lock()
		g.closed = true
		if g.timer != nil {
			g.timer.Stop()
		}
		for _, r := range g.resources {
			if r.unwatch != nil {
				r.unwatch()
			}
		}
		g.mu.Unlock()
	}
	if err := b.store.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.start()
}

func desired(epoch model.Epoch, runs bool) GroupDesired {
	timing := lifecycle.Timing{
		LooksAlive: 20 * time.Millisecond, IsAlive: 50 * time.Millisecond, Pending: 5 * time.Second, Deadlock: 300 * time.Millisecond,
		Restart: lifecycle.Restart{Policy: lifecycle.RestartAlways, Threshold: 3, Period: time.Minute, Delay: 10 * time.Millisecond},
	}
	one := func(name, kind string, deps ...lifecycle.Dependency) ResourceDesired {
		return ResourceDesired{
			Resource: resourcetype.Identity{UID: "uid-" + name, Namespace: "demo", Name: name}, Type: kind, Online: true,
			Spec: json.RawMessage(`{"type":"` + kind + `","p":{"v":1},"restart":{"threshold":3}}`), DependsOn: deps, Timing: timing,
		}
	}
	return GroupDesired{
		Group: resourcetype.Identity{UID: "uid-group", Namespace: "demo", Name: "group"}, Run: runs, Epoch: epoch,
		Resources: []ResourceDesired{
			one("disk", "Disk"), one("ip", "Address"), one("app", "App", lifecycle.On("disk"), lifecycle.On("ip")),
		},
	}
}

func (b *bed) apply(d GroupDesired) {
	b.t.Helper()
	if err := b.m.Apply(d); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) report() GroupReport {
	for _, r := range b.m.Reports() {
		if r.Group.UID == "uid-group" {
			return r
		}
	}
	return GroupReport{}
}

// eventually waits for the condition on the group's report.
func (b *bed) eventually(what string, ok func(GroupReport) bool) GroupReport {
	b.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		r := b.report()
		if ok(r) {
			return r
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("not %s: %+v; calls %v", what, r, b.host.log())
		}
		time.Sleep(time.Millisecond)
	}
}

func isOnline(r GroupReport) bool { return r.State == model.GroupOnline }

func (b *bed) online() {
	b.t.Helper()
	b.apply(desired(1, true))
	b.eventually("online", isOnline)
}
