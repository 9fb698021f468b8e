package swap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

// pause is the time between two attempts that collide.
const pause = 5 * time.Millisecond

// Device is a witness over a Store.
type Device struct {
	store   Store
	cluster uint64
}

var _ witness.Device = (*Device)(nil)

// New returns the witness of this cluster in the store.
func New(store Store, cluster uint64) *Device { return &Device{store: store, cluster: cluster} }

// Name is the store's.
func (d *Device) Name() string { return d.store.Name() }

// Close closes the store.
func (d *Device) Close() error { return d.store.Close() }

// Look reads the document. The holder renews it, which proves that nobody has changed it.
func (d *Device) Look(ctx context.Context, me reservation.Key) (witness.Status, error) {
	return d.update(ctx, me, func(doc *document) error { return renew(doc, me) })
}

// Register makes me stand as a challenger.
func (d *Device) Register(ctx context.Context, me reservation.Key) error {
	_, err := d.update(ctx, me, func(doc *document) error { return register(doc, me) })
	return err
}

// Remove takes challengers' registrations away.
func (d *Device) Remove(ctx context.Context, me reservation.Key, victims ...reservation.Key) error {
	_, err := d.update(ctx, me, func(doc *document) error { return remove(doc, me, victims) })
	return err
}

// Take makes me the holder in place of exactly this one.
func (d *Device) Take(ctx context.Context, me, holder reservation.Key) error {
	_, err := d.update(ctx, me, func(doc *document) error { return take(doc, me, holder) })
	return err
}

// Release gives the witness up; me stays a challenger.
func (d *Device) Release(ctx context.Context, me reservation.Key) error {
	_, err := d.update(ctx, me, func(doc *document) error { return release(doc, me) })
	return err
}

// Unregister removes me.
func (d *Device) Unregister(ctx context.Context, me reservation.Key) error {
	_, err := d.update(ctx, me, func(doc *document) error { return unregister(doc, me) })
	return err
}

// Load reads the records and the state.
func (d *Device) Load(ctx context.Context) (witness.Content, error) {
	for {
		stored, err := d.store.Read(ctx)
		if err != nil {
			return witness.Content{}, err
		}
		if stored.Raw == nil {
			return witness.Content{ClusterID: d.cluster}, nil
		}
		doc, err := d.decode(stored.Raw)
		if err != nil {
			return witness.Content{}, err
		}
		c := doc.content(d.cluster)
		if doc.State.Size == 0 {
			return c, nil
		}
		state, err := d.store.ReadState(ctx, doc.State)
		switch {
		case err == nil && sound(state, doc.State):
			c.State, c.StateVersion = state, doc.State.Version
			return c, nil
		case err != nil && !errors.Is(err, ErrNoState):
			return witness.Content{}, err
		}
		// The state is gone or damaged: either a newer document has replaced it in this moment, or it is lost for good, and the
		// records count without it.
		again, err := d.store.Read(ctx)
		if err != nil {
			return witness.Content{}, err
		}
		if again.Version == stored.Version {
			c.StateVersion, c.StateLost = doc.State.Version, true
			return c, nil
		}
	}
}

func sound(state []byte, ref StateRef) bool {
	sum := sha256.Sum256(state)
	return len(state) == ref.Size && hex.EncodeToString(sum[:]) == ref.Sum
}

// Save stores the records, and the state if it is newer.
func (d *Device) Save(ctx context.Context, me reservation.Key, c witness.Content) error {
	if err := c.Check(d.cluster); err != nil {
		return err
	}
	var state StateRef
	if len(c.State) > 0 {
		stored, err := d.stored(ctx)
		if err != nil {
			return err
		}
		// Nothing is written for somebody who holds nothing, nor what is there already.
		if stored.holder() != me {
			return conflict(stored, me)
		}
		if c.StateVersion > stored.State.Version {
			state = refOf(c.StateVersion, c.State)
			if err := d.store.WriteState(ctx, state, c.State); err != nil {
				return err
			}
		}
	}
	_, err := d.update(ctx, me, func(doc *document) error { return save(doc, me, c, state) })
	return err
}

func (d *Device) stored(ctx context.Context) (*document, error) {
	stored, err := d.store.Read(ctx)
	if err != nil {
		return nil, err
	}
	if stored.Raw == nil {
		return newDocument(d.cluster), nil
	}
	return d.decode(stored.Raw)
}

func (d *Device) decode(raw []byte) (*document, error) {
	doc, err := decode(raw, d.cluster)
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w", d.Name(), err)
	}
	return doc, nil
}

// update applies an act by compare-and-swap until the swap succeeds, the act fails or ctx ends.
func (d *Device) update(ctx context.Context, me reservation.Key, act func(*document) error) (witness.Status, error) {
	if me.Cluster() != clusterNumber(d.cluster) || me.Node() == 0 || me.Epoch() == 0 {
		return witness.Status{}, fmt.Errorf("key %s is not one of cluster %s", me, clusterText(d.cluster))
	}
	for {
		st, err := d.attempt(ctx, me, act)
		if !errors.Is(err, ErrChanged) {
			return st, err
		}
		select {
		case <-ctx.Done():
			return witness.Status{}, fmt.Errorf("%w: %s changes all the time: %w", witness.ErrUnreachable, d.Name(), context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

func (d *Device) attempt(ctx context.Context, me reservation.Key, act func(*document) error) (witness.Status, error) {
	stored, err := d.store.Read(ctx)
	if err != nil {
		return witness.Status{}, err
	}
	doc := newDocument(d.cluster)
	if stored.Raw != nil {
		if doc, err = d.decode(stored.Raw); err != nil {
			return witness.Status{}, err
		}
	}
	if err := act(doc); errors.Is(err, errSettled) {
		return doc.status(stored.ID), nil
	} else if err != nil {
		return witness.Status{}, fmt.Errorf("witness %s: %w", d.Name(), err)
	}
	doc.Renewals++
	raw, err := doc.encode()
	if err != nil {
		return witness.Status{}, err
	}
	if err := d.store.Swap(ctx, stored.Version, raw, doc.note(doc.holder() == me)); err != nil {
		return witness.Status{}, err
	}
	d.store.Tidy(ctx, doc.State)
	return doc.status(stored.ID), nil
}
