package inventory

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Orphans is the name of the cluster of resources whose group does not exist.
const Orphans = ""

// Liveness tells whether the reporter of a cluster is heard.
type Liveness interface {
	// Fresh says that the reporter of the cluster has given a sign of life lately.
	Fresh(cluster string) bool
	// Await waits, in the first moments of the process only, until a reporter can be told to be heard or not. viewKnown says that
	// there is a view at all: without one there is no reporter to wait for.
	Await(ctx context.Context, cluster string, viewKnown bool) error
	// Reporter is the name of the node that renews the reporter's Lease; empty when that is not known.
	Reporter(cluster string) string
	// Recall returns the Node with the newest that its agent has ever reported of these groups, by uid: an API server that was
	// restored shows less. The Node itself is not changed.
	Recall(n *v1alpha1.Node, groups map[string]bool) *v1alpha1.Node
	// HighestView is the highest number of a quorate view that was ever seen of the cluster; 0 for none.
	HighestView(cluster string) uint64
}

// Reader reads inventories.
type Reader struct {
	Client   client.Reader
	Liveness Liveness
}

// Read returns the objects of one cluster, ordered by name. They are shared with the cache and must not be changed. A Cluster that
// does not exist is no error: its nodes and groups may still be there.
func (r *Reader) Read(ctx context.Context, cluster string) (*snapshot.Objects, error) {
	o := &snapshot.Objects{Name: cluster}
	if cluster != Orphans {
		if err := r.readCluster(ctx, o); err != nil {
			return nil, err
		}
	}
	var groups v1alpha1.ResourceGroupList
	var resources v1alpha1.ResourceList
	if err := r.Client.List(ctx, &groups, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing groups: %w", err)
	}
	if err := r.Client.List(ctx, &resources, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing resources: %w", err)
	}
	clusterOf := make(map[model.GroupKey]string, len(groups.Items))
	for i := range groups.Items {
		g := &groups.Items[i]
		clusterOf[snapshot.Key(g)] = g.Spec.ClusterName
		if g.Spec.ClusterName == cluster {
			o.Groups = append(o.Groups, g)
		}
	}
	for i := range resources.Items {
		// A group that is not there has the cluster "", which is that of the orphans.
		if clusterOf[snapshot.GroupKeyOf(&resources.Items[i])] == cluster {
			o.Resources = append(o.Resources, &resources.Items[i])
		}
	}
	uids := make(map[string]bool, len(o.Groups))
	for _, g := range o.Groups {
		uids[string(g.UID)] = true
	}
	for i, n := range o.Nodes {
		o.Nodes[i] = r.Liveness.Recall(n, uids)
	}
	o.Sort()
	if err := r.Liveness.Await(ctx, cluster, o.LastView() != nil); err != nil {
		return nil, err
	}
	o.Fresh, o.Reporter = r.Liveness.Fresh(cluster), r.Liveness.Reporter(cluster)
	return o, nil
}

func (r *Reader) readCluster(ctx context.Context, o *snapshot.Objects) error {
	cluster := &v1alpha1.Cluster{}
	switch err := r.Client.Get(ctx, client.ObjectKey{Name: o.Name}, cluster); {
	case err == nil:
		o.Cluster = cluster
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("reading cluster %s: %w", o.Name, err)
	}
	var quorums v1alpha1.QuorumConfigList
	if err := r.Client.List(ctx, &quorums, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing quorum configurations: %w", err)
	}
	for i := range quorums.Items {
		if quorums.Items[i].Name == o.Name {
			o.Quorum = &quorums.Items[i]
		} else {
			o.OtherQuorums = append(o.OtherQuorums, &quorums.Items[i])
		}
	}
	var nodes v1alpha1.NodeList
	if err := r.Client.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	for i := range nodes.Items {
		if nodes.Items[i].Spec.ClusterName == o.Name {
			o.Nodes = append(o.Nodes, &nodes.Items[i])
		}
	}
	return nil
}
