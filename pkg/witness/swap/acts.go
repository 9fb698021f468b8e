package swap

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

// The acts change a document. They are pure: an error, or errSettled, means that it has not changed.

// errSettled says that there is nothing to do and nothing to prove.
var errSettled = errors.New("nothing to do")

func (d *document) holder() reservation.Key { return d.Array.Registrations[d.Array.Holder] }

func (d *document) do(me reservation.Key, c reservation.Command) error {
	c.Type = reservation.WriteExclusiveRegistrantsOnly
	_, err := d.Array.Do(nexusOf(me), c)
	return err
}

// renew proves that me still holds it.
func renew(d *document, me reservation.Key) error {
	if d.holder() != me {
		return errSettled
	}
	return nil
}

func register(d *document, me reservation.Key) error {
	old := d.Array.Registrations[nexusOf(me)]
	if old == me {
		return errSettled
	}
	if old != 0 {
		// First without a key: a holder that only changed its key would go on holding, without having waited (R8e).
		if err := d.do(me, reservation.Command{Service: reservation.ServiceRegister, Key: old}); err != nil {
			return err
		}
	}
	return d.do(me, reservation.Command{Service: reservation.ServiceRegister, ServiceKey: me})
}

func remove(d *document, me reservation.Key, victims []reservation.Key) error {
	if d.holder() != me {
		return conflict(d, me)
	}
	for _, v := range victims {
		if v == me || d.Array.Registrations[nexusOf(v)] != v {
			continue
		}
		if err := d.do(me, reservation.Command{Service: reservation.ServicePreemptAbort, Key: me, ServiceKey: v}); err != nil {
			return err
		}
	}
	return nil
}

func take(d *document, me, holder reservation.Key) error {
	switch now := d.holder(); {
	case now == me:
		return nil
	case d.Array.Registrations[nexusOf(me)] != me, now != holder:
		return conflict(d, me)
	case now == 0:
		return d.do(me, reservation.Command{Service: reservation.ServiceReserve, Key: me})
	default:
		return d.do(me, reservation.Command{Service: reservation.ServicePreemptAbort, Key: me, ServiceKey: holder})
	}
}

func release(d *document, me reservation.Key) error {
	if d.holder() != me {
		return errSettled
	}
	return d.do(me, reservation.Command{Service: reservation.ServiceRelease, Key: me})
}

func unregister(d *document, me reservation.Key) error {
	if d.Array.Registrations[nexusOf(me)] != me {
		return errSettled
	}
	return d.do(me, reservation.Command{Service: reservation.ServiceRegister, Key: me})
}

// save merges the records, and refers to the state if it is newer.
func save(d *document, me reservation.Key, c witness.Content, state StateRef) error {
	if d.holder() != me {
		return conflict(d, me)
	}
	merged := witness.Merge(d.content(c.ClusterID), c)
	d.View, d.Committed, d.Tentative = merged.View, merged.Committed, merged.Tentative
	if state.Size > 0 && state.Version > d.State.Version {
		d.State = state
	}
	return nil
}

func conflict(d *document, me reservation.Key) error {
	st := d.status(0)
	return fmt.Errorf("%w: %s", witness.ErrConflict, witness.Describe(st, me))
}
