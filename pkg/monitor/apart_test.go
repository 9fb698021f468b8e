package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// fakeHosts count what is asked of the processes of resources, by uid.
type fakeHosts struct {
	mu       sync.Mutex
	calls    map[string]int
	released []string
}

func (h *fakeHosts) Type(t resourcetype.Type, uid string) resourcetype.Type {
	return apartType{t, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.calls[uid]++
	}}
}

func (h *fakeHosts) Release(uid string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = append(h.released, uid)
}

func (h *fakeHosts) Close() {}

func (h *fakeHosts) count(uid string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[uid]
}

// apartType is a type in a process of its own.
type apartType struct {
	resourcetype.Type
	count func()
}

func (a apartType) Online(ctx context.Context, inst *resourcetype.Instance) error {
	a.count()
	return a.Type.Online(ctx, inst)
}

func (a apartType) LooksAlive(ctx context.Context, inst *resourcetype.Instance) error {
	a.count()
	return a.Type.LooksAlive(ctx, inst)
}

// TestSeparateMonitor: what asks for it, and only that, runs in a process of its own, which ends with it; a disk never does.
func TestSeparateMonitor(t *testing.T) {
	b := newBed(t)
	d := desired(1, true)
	for i := range d.Resources {
		if name := d.Resources[i].Resource.Name; name != "ip" {
			d.Resources[i].Spec = json.RawMessage(strings.Replace(string(d.Resources[i].Spec), "{", `{"separateMonitor":true,`, 1))
		}
	}
	b.apply(d)
	b.eventually("online and watched", func(r GroupReport) bool { return isOnline(r) && b.hosts.count("uid-app") > 1 })
	if disk, ip := b.hosts.count("uid-disk"), b.hosts.count("uid-ip"); disk > 0 || ip > 0 {
		t.Errorf("%d calls of the disk and %d of the address in processes of their own", disk, ip)
	}
	b.apply(desired(2, false))
	b.eventually("offline", func(r GroupReport) bool { return r.State == model.GroupOffline })
	b.hosts.mu.Lock()
	defer b.hosts.mu.Unlock()
	if !strings.Contains(strings.Join(b.hosts.released, " "), "uid-app") {
		t.Errorf("released %v", b.hosts.released)
	}
}

// TestHungGetsAProcess: a check that never returns stays behind in this process, once: the next calls have a process that can be killed.
func TestHungGetsAProcess(t *testing.T) {
	b := newBed(t)
	stuck := make(chan struct{})
	defer close(stuck)
	b.types.Register("Stuck", stuckType{fakeType{b.host}, stuck})
	d := desired(1, true)
	for i := range d.Resources {
		if d.Resources[i].Resource.Name == "app" {
			d.Resources[i].Type = "Stuck"
			d.Resources[i].Timing.Restart.Threshold = 50
		}
	}
	b.apply(d)
	b.eventually("in a process of its own", func(GroupReport) bool { return b.hosts.count("uid-app") > 0 })
	if n := b.hosts.count("uid-ip"); n > 0 {
		t.Errorf("the address, which does not hang, was called %d times in a process of its own", n)
	}
}

// stuckType never returns from IsAlive, whatever the context says.
type stuckType struct {
	fakeType
	stuck chan struct{}
}

func (s stuckType) IsAlive(context.Context, *resourcetype.Instance) error {
	<-s.stuck
	return errors.New("at last")
}

// resident is a type that works in the agent's background.
type resident struct{ resourcetype.Type }

func (resident) Resident() {}

// TestResidentStays: a type that works in the agent's background is not run elsewhere, whatever the spec says.
func TestResidentStays(t *testing.T) {
	types := resourcetype.NewRegistry()
	types.Register("Name", resident{})
	types.Register("App", apartType{})
	hosts := &fakeHosts{calls: map[string]int{}}
	g := &group{monitor: &Monitor{opts: Options{Types: types, Hosts: hosts}}}
	for name, want := range map[string]bool{"Name": false, "App": true} {
		r := &resource{apart: true}
		r.record.Type, r.record.Spec = name, json.RawMessage(`{"separateMonitor":true}`)
		got, err := g.typeOf(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, here := got.(resident); here == want {
			t.Errorf("%s is run as %T", name, got)
		}
	}
}
