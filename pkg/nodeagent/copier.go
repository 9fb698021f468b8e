package nodeagent

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/witness"
)

// copyInterval is how often the holder of the witness looks whether the cluster's state has changed since it was saved there.
const copyInterval = 2 * time.Second

// viewInVersion makes versions of a later view higher than all of an earlier one.
const viewInVersion = 24

// afterRead is how far versions leap when the witness is taken: above all that a holder before may have made in the same view and not have
// on the witness yet.
const afterRead = 1 << 12

// copier keeps on the witness, while this node holds it, what the next holder has to know: the cluster's state, and the journal while this
// node goes by one. It takes over what another holder has left there: the epochs (rule O7) and the journal (J9).
type copier struct {
	log      logr.Logger
	cluster  string
	world    func() *world
	standing func() *standing
	// setState says that there is something newer to save.
	setState func(ctx context.Context, version uint64) error
	// raise keeps an epoch below which nothing is obeyed any more.
	raise func(uid string, epoch model.Epoch) error
	// loaded hands what was read to the journal and waits until it is taken over, kept what was saved.
	loaded func(ctx context.Context, state *autonomy.State, unread string) error
	kept   func(serial uint64, refused string)
	wake   chan struct{}

	mu sync.Mutex
	// asked is the journal's that is to be encoded; nil for none.
	asked *autonomy.Keep
	// raw is what the next save writes, serial the journal's number of it, 0 for a mere copy; refused says why it stands for another.
	raw     []byte
	version uint64
	serial  uint64
	refused string
	// journal says that a journal is there or on its way, which no mere copy may replace.
	journal bool
}

// state is what the next save writes.
func (c *copier) state() ([]byte, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw, c.version
}

// saved notes that a state is on the witness.
func (c *copier) saved(version uint64) {
	c.mu.Lock()
	serial, refused := c.serial, c.refused
	if version != c.version {
		serial = 0
	}
	c.mu.Unlock()
	if serial != 0 {
		c.kept(serial, refused)
	}
}

// read takes over what the holder before has written: no epoch below it is obeyed here any more, and a journal is this node's own. It
// returns when all that is done.
func (c *copier) read(ctx context.Context, content *witness.Content) error {
	state, unread := c.decode(content)
	c.mu.Lock()
	// What was made before is older than what was read.
	c.asked, c.raw, c.serial, c.version = nil, nil, 0, max(c.version, content.StateVersion)+afterRead
	c.journal = unread != "" || state != nil && state.Pending
	c.mu.Unlock()
	return c.loaded(ctx, state, unread)
}

func (c *copier) decode(content *witness.Content) (state *autonomy.State, unread string) {
	if content.StateLost {
		unread = "the newest state on it is damaged"
	}
	if len(content.State) == 0 {
		return nil, unread
	}
	state, known, err := decodeKept(content.State)
	if err != nil {
		c.log.Error(err, "The cluster's state on the witness is not used")
		return nil, err.Error()
	}
	epochs := known.Epochs()
	for uid, epoch := range epochs {
		if err := c.raise(uid, epoch); err != nil {
			c.log.Error(err, "An epoch of the witness is not kept", "group", uid, "epoch", epoch)
		}
	}
	c.log.Info("The cluster's state was read from the witness", "version", content.StateVersion, "groups", len(epochs),
		"journal", state != nil && state.Pending)
	return state, unread
}

// keep has the journal's state put on the witness.
func (c *copier) keep(k *autonomy.Keep) {
	c.mu.Lock()
	c.asked, c.journal = k, true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run looks for changes until ctx ends.
func (c *copier) run(ctx context.Context) {
	ticker := time.NewTicker(copyInterval)
	defer ticker.Stop()
	said := ""
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			err = c.putJournal(ctx)
		case <-ticker.C:
			err = c.renew(ctx)
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			c.log.Error(err, "What the witness keeps is not renewed")
		}
	}
}

// putJournal encodes what the journal has asked for, and has it saved. One that does not fit is stood for by the word that there is one.
func (c *copier) putJournal(ctx context.Context) error {
	c.mu.Lock()
	k := c.asked
	c.mu.Unlock()
	if k == nil {
		return nil
	}
	raw, err := encodeKept(k.State)
	refused := ""
	if errors.Is(err, errTooLargeForWitness) {
		refused = err.Error()
		c.log.Error(err, "Nothing is decided by the vote of the witness")
		raw, err = encodeKept(standsFor(k.State))
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.asked != k {
		c.mu.Unlock()
		return nil // overtaken; there is another wake-up
	}
	version := c.next()
	c.raw, c.version, c.serial, c.refused, c.journal = raw, version, k.Serial, refused, k.State.Pending
	c.mu.Unlock()
	return c.setState(ctx, version)
}

// standsFor takes the place of a state that does not fit.
func standsFor(s *autonomy.State) *autonomy.State {
	if s.Pending {
		return autonomy.Unkept()
	}
	return &autonomy.State{Copy: &replica.Copy{}}
}

// next is a version above all that are known; those of a later view are higher than all of an earlier one. The caller holds mu.
func (c *copier) next() uint64 {
	s, view := c.standing(), uint64(0)
	if s.View != nil {
		view = s.View.ID.Number
	}
	return max(view<<viewInVersion, c.version, s.Witness.State) + 1
}

// renew looks whether the cluster's state has changed.
func (c *copier) renew(ctx context.Context) error {
	s, w := c.standing(), c.world()
	if !s.Witness.Holding || s.View == nil || w == nil || w.copied {
		return nil
	}
	objects, err := objectsOf(ctx, w, c.cluster)
	if err != nil || objects.Cluster == nil {
		return err
	}
	raw, err := encodeCopy(objects, s.Settings != nil && s.Settings.Autonomy)
	if err != nil {
		return err
	}
	c.mu.Lock()
	same := c.journal || bytes.Equal(raw, c.raw) && c.version >= s.Witness.State
	if !same {
		c.raw, c.version, c.serial = raw, c.next(), 0
	}
	version := c.version
	c.mu.Unlock()
	if same {
		return nil
	}
	return c.setState(ctx, version)
}

// encodeCopy makes a copy for the witness: all of it where it may be decided from, if that fits, else what tells the epochs.
func encodeCopy(o *snapshot.Objects, decides bool) ([]byte, error) {
	if decides {
		if raw, err := encodeKept(&autonomy.State{Copy: replica.Of(o)}); err == nil {
			return raw, nil
		}
	}
	return replica.Encode(o, witness.MaxState)
}

// objectsOf are the objects of a cluster.
func objectsOf(ctx context.Context, w *world, cluster string) (*snapshot.Objects, error) {
	o := &snapshot.Objects{Name: cluster}
	var err error
	if o.Cluster, err = w.cluster(ctx, cluster); err != nil {
		return nil, err
	}
	if o.Quorum, err = w.quorum(ctx, cluster); err != nil {
		return nil, err
	}
	if o.Nodes, err = w.nodes(ctx); err != nil {
		return nil, err
	}
	o.Nodes = slices.DeleteFunc(o.Nodes, func(n *v1alpha1.Node) bool { return n.Spec.ClusterName != cluster })
	if o.Groups, err = w.groups(ctx, cluster); err != nil {
		return nil, err
	}
	if o.Resources, err = w.allResources(ctx); err != nil {
		return nil, err
	}
	mine := make(map[model.GroupKey]bool, len(o.Groups))
	for _, g := range o.Groups {
		mine[snapshot.Key(g)] = true
	}
	o.Resources = slices.DeleteFunc(o.Resources, func(r *v1alpha1.Resource) bool { return !mine[snapshot.GroupKeyOf(r)] })
	o.Sort()
	return o, nil
}
