package disk

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

// records is what a slot holds.
type records struct {
	View      model.ViewID   `json:"view,omitzero"`
	Committed *quorum.Record `json:"committed,omitempty"`
	Tentative *quorum.Record `json:"tentative,omitempty"`
}

// mark is what a used mark holds: nothing but its seal, so that everybody writes the same.
type mark struct{}

// stateHeader is before a state.
type stateHeader struct {
	Version uint64 `json:"version"`
	Size    int    `json:"size"`
	Sum     []byte `json:"sum"`
}

// Load merges all slots that are in use, and finds the newest state.
func (d *Device) Load(ctx context.Context) (witness.Content, error) {
	out := witness.Content{ClusterID: d.cluster}
	if err := d.lookAtHeader(); err != nil || d.id == 0 {
		return out, err
	}
	used, err := d.readMarks()
	if err != nil {
		return witness.Content{}, err
	}
	for _, m := range used {
		if err := ctx.Err(); err != nil {
			return witness.Content{}, d.unreachable("reading", context.Cause(ctx))
		}
		b := aligned(perMark * slotSize)
		if err := d.read(b, slotAt(model.NodeID(m*perMark), 0)); err != nil {
			return witness.Content{}, err
		}
		for n := range perMark {
			slot := b[n*slotSize : (n+1)*slotSize]
			r, _ := newestRecords(slot, d.id, uint16(m*perMark+n))
			out = witness.Merge(out, witness.Content{View: r.View, Committed: r.Committed, Tentative: r.Tentative})
		}
	}
	_, state, err := d.newestState()
	if err != nil {
		return witness.Content{}, err
	}
	out.State, out.StateVersion, out.StateLost = state.data, max(state.version, state.lost), state.lost != 0
	return out, nil
}

// readMarks returns the marks that are set.
func (d *Device) readMarks() ([]int, error) {
	b := aligned(marks * block)
	if err := d.read(b, marksAt); err != nil {
		return nil, err
	}
	var used []int
	for m := range marks {
		if _, err := unseal(b[m*block:(m+1)*block], kindMark, d.id, &mark{}); err == nil {
			used = append(used, m)
		}
	}
	return used, nil
}

// newestRecords reads a slot: of its halves the one with the higher sequence whose seal is whole. writeTo is the other one.
func newestRecords(slot []byte, id uint64, node uint16) (newest records, next nextHalf) {
	for half := range 2 {
		var r records
		s, err := unseal(slot[half*block:(half+1)*block], kindRecord, id, &r)
		if err == nil && s.node == node && s.sequence >= next.sequence {
			newest, next = r, nextHalf{half: 1 - half, sequence: s.sequence + 1}
		}
	}
	return newest, next
}

// nextHalf is where the next records of a slot go.
type nextHalf struct {
	half     int
	sequence uint64
}

// Save writes the records into me's slot, and the state over the older copy of me's segment.
func (d *Device) Save(ctx context.Context, me reservation.Key, c witness.Content) error {
	if err := c.Check(d.cluster); err != nil {
		return err
	}
	st, err := d.status(ctx)
	if err != nil {
		return err
	}
	if st.Holder != me {
		return d.conflict(st, me)
	}
	return d.whileHeld(ctx, me, func() error {
		if err := d.ensureHeader(ctx); err != nil {
			return err
		}
		return d.save(ctx, me, c)
	})
}

// whileHeld carries out the writes of me, who holds the disk. If the target refuses one, it says whether me was preempted, which is a
// conflict, or the disk failed. A path that came back without a registration is refused as well as one whose host was preempted;
// that is cured, and the writes are tried once more.
func (d *Device) whileHeld(ctx context.Context, me reservation.Key, write func() error) error {
	err := write()
	if !errors.Is(err, unix.EBADE) && !errors.Is(err, unix.EIO) {
		return err
	}
	if st, statusErr := d.status(ctx); statusErr != nil {
		return errors.Join(err, statusErr)
	} else if st.Holder != me {
		return d.conflict(st, me)
	}
	if err := d.Register(ctx, me); err != nil {
		return err
	}
	return write()
}

func (d *Device) save(ctx context.Context, me reservation.Key, c witness.Content) error {
	if err := d.saveRecords(me.Node(), records{View: c.View, Committed: c.Committed, Tentative: c.Tentative}); err != nil {
		return err
	}
	if len(c.State) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return d.unreachable("writing", context.Cause(ctx))
	}
	return d.saveState(me.Node(), state{version: c.StateVersion, data: c.State})
}

func (d *Device) saveRecords(node model.NodeID, r records) error {
	if err := d.setMark(int(node) / perMark); err != nil {
		return err
	}
	slot := aligned(slotSize)
	if err := d.read(slot, slotAt(node, 0)); err != nil {
		return err
	}
	_, next := newestRecords(slot, d.id, uint16(node))
	b, err := seal(sealed{kind: kindRecord, node: uint16(node), id: d.id, sequence: next.sequence}, r)
	if err != nil {
		return err
	}
	return d.write(b, slotAt(node, next.half))
}

func (d *Device) setMark(m int) error {
	if d.marked[m] {
		return nil
	}
	b, err := seal(sealed{kind: kindMark, id: d.id}, mark{})
	if err != nil {
		return err
	}
	now := aligned(block)
	if err := d.read(now, markAt(m)); err != nil {
		return err
	}
	if !bytes.Equal(now, b) {
		if err := d.write(b, markAt(m)); err != nil {
			return err
		}
	}
	d.marked[m] = true
	return nil
}

// state is a copy of the cluster's state.
type state struct {
	version uint64
	data    []byte
	// lost is the highest version above this one that was once whole and is not any more; 0 for none. A write that was cut short leaves
	// none: it goes over a copy that is older than the newest.
	lost uint64
}

// newestState returns the newest state that is whole, and the number of the copy that has it; -1 if there is none.
func (d *Device) newestState() (n int, newest state, err error) {
	type candidate struct {
		n int
		h stateHeader
	}
	var candidates []candidate
	b := aligned(block)
	for n := range statesHave {
		if err := d.read(b, copyAt(n)); err != nil {
			return -1, state{}, err
		}
		var h stateHeader
		if _, err := unseal(b, kindState, d.id, &h); err == nil && h.Size > 0 && h.Size <= witness.MaxState {
			candidates = append(candidates, candidate{n, h})
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.h.Version, a.h.Version) })
	var lost uint64
	for _, c := range candidates {
		data := aligned(roundUp(c.h.Size))
		if err := d.read(data, copyAt(c.n)+block); err != nil {
			return -1, state{}, err
		}
		data = data[:c.h.Size]
		if sum := sha256.Sum256(data); bytes.Equal(sum[:], c.h.Sum) {
			return c.n, state{version: c.h.Version, data: data, lost: lost}, nil
		}
		lost = max(lost, c.h.Version)
	}
	return -1, state{lost: lost}, nil
}

// saveState writes the state if it is newer than what is there. Its data goes first: until the header is there, the copy's old header
// does not fit the data, and the copy does not count.
func (d *Device) saveState(node model.NodeID, s state) error {
	n, newest, err := d.newestState()
	if err != nil {
		return err
	}
	if n >= 0 && max(newest.version, newest.lost) >= s.version {
		return nil
	}
	copies := copiesOf(node)
	target := copies[0]
	if target == n {
		target = copies[1]
	}
	data := aligned(roundUp(len(s.data)))
	copy(data, s.data)
	sum := sha256.Sum256(s.data)
	h, err := seal(sealed{kind: kindState, node: uint16(node), id: d.id}, stateHeader{Version: s.version, Size: len(s.data), Sum: sum[:]})
	if err != nil {
		return err
	}
	if err := d.write(data, copyAt(target)+block); err != nil {
		return err
	}
	return d.write(h, copyAt(target))
}

func roundUp(n int) int { return (n + block - 1) / block * block }

func (d *Device) read(b []byte, at int64) error {
	if _, err := d.data.ReadAt(b, at); err != nil {
		return fmt.Errorf("%w: reading %s: %w", witness.ErrUnreachable, d.name, err)
	}
	return nil
}

func (d *Device) write(b []byte, at int64) error {
	if _, err := d.data.WriteAt(b, at); err != nil {
		return fmt.Errorf("%w: writing %s: %w", witness.ErrUnreachable, d.name, err)
	}
	return nil
}
