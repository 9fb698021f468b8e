package nodeagent

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/witness"
)

// copyInterval is how often the holder of the witness looks whether the cluster's state has changed since it was saved there.
const copyInterval = 2 * time.Second

// viewInVersion makes versions of a later view higher than all of an earlier one.
const viewInVersion = 24

// copier keeps the copy of the cluster's state on the witness up to date while this node holds it, and takes over the epochs of the
// copy that another holder has left (rule O7).
type copier struct {
	log     logr.Logger
	cluster string
	world   func() *world
	core    *core
	store   *runstate.Store

	mu      sync.Mutex
	raw     []byte
	version uint64
}

// state is what the next save writes.
func (c *copier) state() ([]byte, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw, c.version
}

// read takes over what the holder before has written: no epoch below it is obeyed here any more.
func (c *copier) read(raw []byte, version uint64) {
	known, err := replica.Decode(raw)
	if err != nil {
		c.log.Error(err, "The cluster's state on the witness is not used")
		return
	}
	epochs := known.Epochs()
	for uid, epoch := range epochs {
		if err := c.store.RaiseFloor(uid, epoch); err != nil {
			c.log.Error(err, "An epoch of the witness is not kept", "group", uid, "epoch", epoch)
		}
	}
	c.log.Info("The cluster's state was read from the witness", "version", version, "groups", len(epochs))
}

// run looks for changes until ctx ends.
func (c *copier) run(ctx context.Context) {
	ticker := time.NewTicker(copyInterval)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := c.renew(ctx); err != nil && err.Error() != said {
			said = err.Error()
			c.log.Error(err, "The copy of the cluster's state on the witness is not renewed")
		}
	}
}

func (c *copier) renew(ctx context.Context) error {
	s, w := c.core.standing(), c.world()
	if !s.Witness.Holding || s.View == nil || w == nil {
		return nil
	}
	objects, err := objectsOf(ctx, w, c.cluster)
	if err != nil || objects.Cluster == nil {
		return err
	}
	raw, err := replica.Encode(objects, witness.MaxState)
	if err != nil {
		return err
	}
	c.mu.Lock()
	same := bytes.Equal(raw, c.raw) && c.version >= s.Witness.State
	if !same {
		c.raw, c.version = raw, max(s.View.ID.Number<<viewInVersion, c.version, s.Witness.State)+1
	}
	version := c.version
	c.mu.Unlock()
	if same {
		return nil
	}
	return c.core.setState(ctx, version)
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
