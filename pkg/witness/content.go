package witness

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Content is what the witness keeps beside who holds it (R8g).
type Content struct {
	// ClusterID is the cluster to which the witness belongs.
	ClusterID uint64
	// View is the highest view in which some holder counted the witness's vote; zero for none.
	View model.ViewID
	// Committed is the highest vote record that some holder knew to be committed, Tentative the highest one above it that is not
	// known to be; nil for none.
	Committed, Tentative *quorum.Record
	// State is a compressed copy of the cluster's specs, assignments and epochs. Devices do not look inside. At most MaxState bytes;
	// empty for none.
	State []byte
	// StateVersion orders states, from 1: a device keeps the highest, and never replaces a state by one of a lower or the same
	// version.
	StateVersion uint64
	// StateLost says that the state of StateVersion cannot be read any more: it is damaged or gone. State is an older one then, if there
	// is any. Only Load sets it.
	StateLost bool
}

// MaxState is the size in bytes of the largest State that every kind of witness takes.
const MaxState = 3 << 19 // 1.5 MiB

// MaxVoters bounds the voters of a record that a witness keeps.
const MaxVoters = 64

// Check refuses content that a witness of this cluster cannot keep.
func (c Content) Check(cluster uint64) error {
	switch {
	case c.ClusterID != cluster:
		return fmt.Errorf("content of cluster %016x, for a witness of cluster %016x", c.ClusterID, cluster)
	case len(c.State) > MaxState:
		return fmt.Errorf("the state has %d bytes, a witness takes at most %d", len(c.State), MaxState)
	case len(c.State) > 0 && c.StateVersion == 0:
		return errors.New("a state has a version from 1")
	}
	for _, r := range []*quorum.Record{c.Committed, c.Tentative} {
		if r != nil && len(r.Voters) > MaxVoters {
			return fmt.Errorf("record %d/%d has %d voters, a witness takes at most %d", r.Number, r.Coordinator, len(r.Voters), MaxVoters)
		}
	}
	return nil
}

// Merge is what is known when both were saved: the higher committed record, the higher tentative one above it, the newer state.
func Merge(a, b Content) Content {
	out := a
	if b.View.Number > out.View.Number {
		out.View = b.View
	}
	if quorum.Compare(b.Committed, out.Committed) > 0 {
		out.Committed = b.Committed
	}
	if quorum.Compare(b.Tentative, out.Tentative) > 0 {
		out.Tentative = b.Tentative
	}
	if quorum.Compare(out.Tentative, out.Committed) <= 0 {
		out.Tentative = nil
	}
	if b.StateVersion > out.StateVersion {
		out.State, out.StateVersion, out.StateLost = b.State, b.StateVersion, b.StateLost
	}
	return out
}
