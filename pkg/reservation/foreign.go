package reservation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Reservation types whose every registrant is a holder; READ RESERVATION then names the holder 0.
const (
	writeExclusiveAllRegistrants  Type = 7
	exclusiveAccessAllRegistrants Type = 8
)

// UnnamedError says that the disk carries foreign keys which the operator did not name: somebody else's word is not known of them.
type UnnamedError struct {
	Device string
	Keys   []Key
}

func (e *UnnamedError) Error() string {
	return fmt.Sprintf("disk %s carries foreign keys that are not named: %s; find out whose they are, then name all of them, or none",
		e.Device, FormatKeys(e.Keys))
}

// ClearForeign removes the named keys of other clusters or programs from a disk, by an operator's word (O20), and returns those that it
// found. me is the key to do it with; a key that this node has on the disk already is used instead, so that no epoch on it falls. Keys
// of this cluster stay. The reservation itself, if a foreign key holds it, passes to this node and stays parked, so that the disk is
// never unreserved meanwhile (O15); only one that all registrants hold has to be cleared. Foreign keys that are not named: *UnnamedError,
// and nothing is done. Nothing on this host may use the disk, and no group may have it online; the caller sees to both. mayAct is asked
// before each command (O8); nil asks nobody.
func ClearForeign(ctx context.Context, dev Device, me Key, named []Key, mayAct func() error) (removed []Key, err error) {
	conflict := false
	for range maxRounds {
		st, err := readStatus(ctx, dev)
		if err != nil {
			return removed, err
		}
		foreign := foreignKeys(st, me.Cluster())
		unnamed := slices.DeleteFunc(slices.Clone(foreign), func(k Key) bool { return slices.Contains(named, k) })
		if len(unnamed) > 0 {
			return removed, errors.Join(&UnnamedError{Device: dev.Name(), Keys: unnamed}, Depart(ctx, dev, me.Cluster(), me.Node()))
		}
		if len(foreign) == 0 {
			return removed, Depart(ctx, dev, me.Cluster(), me.Node())
		}
		for _, k := range foreign {
			if !slices.Contains(removed, k) {
				removed = append(removed, k)
			}
		}
		if mayAct != nil {
			if err := mayAct(); err != nil {
				return removed, fmt.Errorf("clearing foreign keys from %s: %w", dev.Name(), err)
			}
		}
		// One command from one read, whose outcome the next read tells (O21).
		err = clearStep(dev, me, st, foreign, conflict)(ctx)
		if conflict = errors.Is(err, ErrConflict); err != nil && !conflict && !errors.Is(err, ErrAttention) {
			return removed, fmt.Errorf("clearing foreign keys from %s: %w", dev.Name(), err)
		}
	}
	return removed, fmt.Errorf("clearing foreign keys from %s: %w: their owner is at work; stop it first", dev.Name(), ErrContended)
}

// clearStep is the next command. After a conflict this node's key is registered anew, since the one on the disk may be that of a path
// which is gone.
func clearStep(dev Device, me Key, st Status, foreign []Key, conflict bool) func(context.Context) error {
	own := Key(0)
	for _, k := range withHolder(st) {
		if k.valid() && k.Cluster() == me.Cluster() && k.Node() == me.Node() {
			own = max(own, k)
		}
	}
	allHold := st.Holder == 0 && (st.Type == writeExclusiveAllRegistrants || st.Type == exclusiveAccessAllRegistrants)
	switch {
	case own == 0:
		return func(ctx context.Context) error { return dev.RegisterIgnore(ctx, me) }
	case conflict:
		return func(ctx context.Context) error { return dev.RegisterIgnore(ctx, own) }
	case allHold:
		return func(ctx context.Context) error { return dev.Clear(ctx, own) }
	case slices.Contains(foreign, st.Holder):
		return func(ctx context.Context) error { return dev.PreemptAbort(ctx, own, st.Holder) }
	}
	return func(ctx context.Context) error { return dev.PreemptAbort(ctx, own, foreign[0]) }
}

// foreignKeys are the keys on a disk that are none of the cluster's, each once, in order.
func foreignKeys(st Status, cluster uint32) []Key {
	keys := slices.DeleteFunc(withHolder(st), func(k Key) bool { return k.valid() && k.Cluster() == cluster })
	slices.Sort(keys)
	return slices.Compact(keys)
}

// ParseKeys reads keys with commas between them, as an operator names them: at least one, at most
// most.
func ParseKeys(text string, most int) ([]Key, error) {
	var keys []Key
	for part := range strings.SplitSeq(text, ",") {
		k, err := ParseKey(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if k == 0 {
			return nil, fmt.Errorf("%q names no reservation key: write each as 0x and hexadecimal digits, with commas between them", text)
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) > most {
		return nil, fmt.Errorf("%d reservation keys are too many: at most %d", len(keys), most)
	}
	return keys, nil
}

// FormatKeys writes what ParseKeys reads.
func FormatKeys(keys []Key) string {
	names := make([]string, 0, len(keys))
	for _, k := range keys {
		names = append(names, k.String())
	}
	return strings.Join(names, ",")
}
