package replica

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// format is the version of the copy's form.
const format = 1

// maxPlain bounds a copy after decompression: twenty times what a witness takes compressed.
const maxPlain = 32 << 20

// Copy is a cluster's state. The objects have no managed fields, and resources no status: their owner's agent knows better.
type Copy struct {
	Format    int                       `json:"format"`
	Cluster   *v1alpha1.Cluster         `json:"cluster,omitempty"`
	Quorum    *v1alpha1.QuorumConfig    `json:"quorum,omitempty"`
	Nodes     []*v1alpha1.Node          `json:"nodes,omitempty"`
	Groups    []*v1alpha1.ResourceGroup `json:"groups,omitempty"`
	Resources []*v1alpha1.Resource      `json:"resources,omitempty"`
}

// ErrTooLarge says that not even the assignments fit.
var ErrTooLarge = errors.New("the copy of the cluster's state is too large for the witness")

// Encode makes a copy of at most limit bytes. If all is too much it leaves the resources out: the epochs come first.
func Encode(o *snapshot.Objects, limit int) ([]byte, error) {
	c := &Copy{Format: format, Cluster: o.Cluster.DeepCopy(), Quorum: o.Quorum.DeepCopy()}
	for _, meta := range []*metav1.ObjectMeta{metaOf(c.Cluster), metaOf(c.Quorum)} {
		strip(meta)
	}
	for _, n := range o.Nodes {
		n = n.DeepCopy()
		strip(&n.ObjectMeta)
		n.Status.Agent, n.Status.Conditions = nil, nil
		c.Nodes = append(c.Nodes, n)
	}
	for _, g := range o.Groups {
		g = g.DeepCopy()
		strip(&g.ObjectMeta)
		g.Status = v1alpha1.ResourceGroupStatus{Assignment: g.Status.Assignment, Members: g.Status.Members}
		c.Groups = append(c.Groups, g)
	}
	for _, r := range o.Resources {
		r = r.DeepCopy()
		strip(&r.ObjectMeta)
		r.Status = v1alpha1.ResourceStatus{}
		c.Resources = append(c.Resources, r)
	}
	raw, err := c.pack()
	if err == nil && len(raw) > limit {
		c.Resources = nil
		raw, err = c.pack()
	}
	if err == nil && len(raw) > limit {
		return nil, fmt.Errorf("%w: %d groups make %d bytes, it takes %d", ErrTooLarge, len(c.Groups), len(raw), limit)
	}
	return raw, err
}

func metaOf(o metav1.ObjectMetaAccessor) *metav1.ObjectMeta {
	switch o := o.(type) {
	case *v1alpha1.Cluster:
		if o != nil {
			return &o.ObjectMeta
		}
	case *v1alpha1.QuorumConfig:
		if o != nil {
			return &o.ObjectMeta
		}
	}
	return nil
}

func strip(meta *metav1.ObjectMeta) {
	if meta != nil {
		meta.ManagedFields = nil
		delete(meta.Annotations, "kubectl.kubernetes.io/last-applied-configuration")
	}
}

func (c *Copy) pack() ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(json.NewEncoder(z).Encode(c), z.Close()); err != nil {
		return nil, fmt.Errorf("encoding the cluster's state: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads a copy. It refuses what no agent writes, and a form that is newer than this agent's.
func Decode(raw []byte) (*Copy, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("the copy of the cluster's state is garbled: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxPlain+1))
	if err != nil {
		return nil, fmt.Errorf("the copy of the cluster's state is garbled: %w", err)
	}
	if len(plain) > maxPlain {
		return nil, fmt.Errorf("the copy of the cluster's state has more than %d bytes", maxPlain)
	}
	c := &Copy{}
	if err := json.Unmarshal(plain, c); err != nil {
		return nil, fmt.Errorf("the copy of the cluster's state is garbled: %w", err)
	}
	if c.Format != format {
		return nil, fmt.Errorf("the copy of the cluster's state has format %d, this agent reads %d", c.Format, format)
	}
	return c, nil
}

// Epochs are the epochs of the groups in the copy, by uid (O7); those that are out of bounds are left out.
func (c *Copy) Epochs() map[string]model.Epoch {
	out := map[string]model.Epoch{}
	for _, g := range c.Groups {
		if g == nil || g.UID == "" || g.Status.Assignment == nil {
			continue
		}
		if e := g.Status.Assignment.Epoch; e > 0 && e <= int64(model.MaxEpoch) {
			out[string(g.UID)] = model.Epoch(e)
		}
	}
	return out
}
