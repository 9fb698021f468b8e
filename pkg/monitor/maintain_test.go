package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// Maintain implements resourcetype.Maintainer.
func (f fakeType) Maintain(_ context.Context, inst *resourcetype.Instance) error {
	f.host.set(func() { f.host.data["maintained "+inst.Resource.Name] = string(inst.Spec) })
	return f.host.call("Maintain", inst)
}

// TestTakenOverInPlace: parameters that need no restart reach the type's Maintain, and the record, and nothing is started anew. What
// Maintain has to tell is beside the state, until it has nothing to tell.
func TestTakenOverInPlace(t *testing.T) {
	b := newBed(t)
	with := func(size string) GroupDesired {
		d := desired(1, true)
		d.Resources[0].Spec = json.RawMessage(`{"type":"Disk","loopbackDisk":{"file":"/f","size":"` + size + `"}}`)
		return d
	}
	message := func(r GroupReport) string {
		for _, one := range r.Resources {
			if one.Name == "disk" {
				return one.Message
			}
		}
		return ""
	}
	b.apply(with("1Gi"))
	b.eventually("online", isOnline)
	b.host.set(func() { b.host.fail["Maintain disk"] = errors.New("no room for 2Gi") })
	b.apply(with("2Gi"))
	r := b.eventually("told", func(r GroupReport) bool { return strings.Contains(message(r), "no room for 2Gi") })
	if !isOnline(r) {
		t.Errorf("what could not be maintained has failed: %+v", r)
	}
	b.host.set(func() { delete(b.host.fail, "Maintain disk") })
	b.eventually("quiet again", func(r GroupReport) bool { return message(r) == "" })
	b.host.mu.Lock()
	spec := b.host.data["maintained disk"]
	b.host.mu.Unlock()
	if !strings.Contains(spec, "2Gi") {
		t.Errorf("Maintain was given %s", spec)
	}
	for _, name := range []string{"disk", "app"} {
		if _, starts := b.host.count(name); starts != 1 {
			t.Errorf("%s was started %d times", name, starts)
		}
	}
	records, damage := b.store.Resources()
	if len(damage) > 0 {
		t.Fatal(damage)
	}
	for _, record := range records {
		if record.Resource.Name == "disk" && !strings.Contains(string(record.Spec), "2Gi") {
			t.Errorf("the record has %s", record.Spec)
		}
	}
	// Another parameter at the same time is a restart, as ever.
	d := with("3Gi")
	d.Resources[0].Spec = json.RawMessage(`{"type":"Disk","loopbackDisk":{"file":"/f","size":"3Gi","options":["ro"]}}`)
	b.apply(d)
	b.eventually("started anew", func(r GroupReport) bool { _, starts := b.host.count("disk"); return starts == 2 && isOnline(r) })
}

// TestTunedWhileFailed: whoever gives a failed resource other parameters wants it tried, also if they need no restart.
func TestTunedWhileFailed(t *testing.T) {
	b := newBed(t)
	with := func(fsck string) GroupDesired {
		d := desired(1, true)
		d.Resources[0].Timing.Restart = lifecycle.Restart{Policy: lifecycle.RestartNever}
		d.Resources[0].Spec = json.RawMessage(`{"type":"Disk","loopbackDisk":{"file":"/f","fsck":"` + fsck + `"}}`)
		return d
	}
	b.host.set(func() { b.host.fail["Online disk"] = errors.New("damaged") })
	b.apply(with("Auto"))
	b.eventually("failed", func(r GroupReport) bool { return r.State == "Failed" })
	b.host.set(func() { delete(b.host.fail, "Online disk") })
	b.apply(with("Force"))
	b.eventually("online", isOnline)
}
