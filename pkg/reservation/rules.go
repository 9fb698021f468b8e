package reservation

import (
	"context"
	"errors"
	"fmt"
)

// check is rule O20 and the refusal of foreign keys. The gravest finding wins: a foreign key, then the highest stale one.
func check(device string, me Key, st Status) error {
	var stale *StaleError
	for _, k := range withHolder(st) {
		switch {
		case !k.valid() || k.Cluster() != me.Cluster():
			return &ForeignError{Device: device, Key: k}
		case !enforced(RuleStale):
		case k.Epoch() > me.Epoch(), k.Epoch() == me.Epoch() && k.Node() != me.Node():
			if stale == nil || k.Epoch() > stale.Epoch {
				stale = &StaleError{Device: device, Epoch: k.Epoch(), Node: k.Node()}
			}
		}
	}
	if stale != nil {
		return stale
	}
	return nil
}

// withHolder returns all keys that the status names. A holder is registered, but a target that says otherwise is believed too.
func withHolder(st Status) []Key {
	keys := make([]Key, 0, len(st.Keys)+1)
	keys = append(keys, st.Keys...)
	if st.Holder != 0 {
		keys = append(keys, st.Holder)
	}
	return keys
}

func readStatus(ctx context.Context, dev Device) (Status, error) {
	var st Status
	err := retryAttention(func() (err error) {
		st, err = dev.ReadStatus(ctx)
		return err
	})
	if err != nil {
		return Status{}, fmt.Errorf("reading the reservation of %s: %w", dev.Name(), err)
	}
	return st, nil
}

func retryAttention(f func() error) error {
	var err error
	for range maxAttentions + 1 {
		if err = f(); !errors.Is(err, ErrAttention) {
			return err
		}
	}
	return err
}

func holderName(st Status) string {
	if st.Holder == 0 {
		return "nobody"
	}
	return fmt.Sprintf("node %d at epoch %d", st.Holder.Node(), st.Holder.Epoch())
}
