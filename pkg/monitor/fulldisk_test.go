package monitor

import (
	"testing"

	"github.com/quorate/quorate/pkg/lifecycle"
)

// TestFullDisk: the state directory takes no more epochs. Nothing new is started, but what is withdrawn stops, and says so.
func TestFullDisk(t *testing.T) {
	b := newBed(t)
	b.online()
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	_ = b.store.RaiseFloor("another", 1) // it fails here or at the next one
	if err := b.store.SyncFloors(); err == nil {
		t.Fatal("the state directory still takes epochs")
	}
	if err := b.m.Apply(desired(2, true)); err == nil {
		t.Error("O7: an epoch was taken over that the disk does not have")
	}
	b.apply(desired(2, false))
	if r := b.eventually("released", func(r GroupReport) bool { return r.Released == 2 }); r.ReleasedHow != lifecycle.ReleasedGraceful {
		t.Errorf("the report is %+v", r)
	}
}
