package resourcetype_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// plain is a type that can do nothing special.
type plain struct{}

func (plain) Online(context.Context, *resourcetype.Instance) error     { return nil }
func (plain) Offline(context.Context, *resourcetype.Instance) error    { return nil }
func (plain) Terminate(context.Context, *resourcetype.Instance) error  { return nil }
func (plain) LooksAlive(context.Context, *resourcetype.Instance) error { return nil }
func (plain) IsAlive(context.Context, *resourcetype.Instance) error    { return nil }
func (plain) Adopt(context.Context, *resourcetype.Instance) error      { return nil }

type disk struct{ plain }

func (disk) Device(*resourcetype.Instance) (string, error) { return "", nil }
func (disk) Reserve(context.Context, *resourcetype.Instance) (resourcetype.ReserveResult, error) {
	return resourcetype.ReserveResult{}, nil
}
func (disk) Verify(context.Context, *resourcetype.Instance) error { return nil }

type address struct{ plain }

func (address) Guarded() {}

func TestRegistry(t *testing.T) {
	r := resourcetype.NewRegistry()
	r.Register("Plain", plain{})
	r.Register("Disk", disk{})
	r.Register("Address", address{})
	want := map[string]resourcetype.Kind{
		"Plain": resourcetype.KindProcess, "Disk": resourcetype.KindDisk, "Address": resourcetype.KindAddress,
		"Unknown": resourcetype.KindProcess,
	}
	got := map[string]resourcetype.Kind{}
	for name := range want {
		got[name] = r.Kind(name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if _, err := r.Get("Disk"); err != nil {
		t.Error(err)
	}
	if _, err := r.Get("Unknown"); err == nil || !strings.Contains(err.Error(), "[Address Disk Plain]") {
		t.Errorf("Get() of an unknown type = %v, want it to name those that there are", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a type was registered twice")
		}
	}()
	r.Register("Disk", disk{})
}

func TestInstance(t *testing.T) {
	type data struct{ A int }
	inst := &resourcetype.Instance{}
	var got data
	if found, err := inst.LoadData(&got); found || err != nil {
		t.Errorf("LoadData() of nothing = %v, %v", found, err)
	}
	if err := inst.Save(data{A: 1}); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("disk full")
	inst.SaveData = func(any) error { return broken }
	if err := inst.Save(data{A: 2}); !errors.Is(err, broken) {
		t.Errorf("Save() = %v, want the store's error", err)
	}
	if found, err := inst.LoadData(&got); !found || err != nil || got.A != 1 {
		t.Errorf("LoadData() = %v, %v, %v; want what was saved", got, found, err)
	}
	inst.Data = []byte("{")
	if _, err := inst.LoadData(&got); err == nil {
		t.Error("garbled data is no error")
	}
	if err := inst.MayStart(); err != nil {
		t.Errorf("MayStart() with nobody to ask = %v", err)
	}
	inst.MayAct = func() error { return broken }
	if err := inst.MayStart(); !errors.Is(err, broken) {
		t.Errorf("MayStart() = %v", err)
	}
	inst.Report("nobody listens")
	var said string
	inst.Progress = func(m string) { said = m }
	inst.Report("%d of %d", 1, 2)
	if said != "1 of 2" {
		t.Errorf("reported %q", said)
	}
}
