package node

import (
	"context"
	"fmt"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// reserveIDs returns a number for every node that has none. The high-water mark in the Cluster's status is raised, with its
// resourceVersion, before any of the numbers is used: a crash in between loses numbers and never gives one twice. Numbers that nodes
// or views carry count as given, whatever the mark says, since an API server may have been restored.
func (r *Reconciler) reserveIDs(ctx context.Context, o *snapshot.Objects) (map[string]int32, error) {
	if o.Cluster == nil {
		return nil, nil
	}
	last := o.Cluster.Status.LastNodeID
	for _, n := range o.Nodes {
		last = max(last, n.Status.ID)
	}
	if published, _ := snapshot.HighestView(o.Nodes); published != nil {
		for _, m := range published.Members {
			last = max(last, m.ID)
		}
	}
	ids := map[string]int32{}
	for _, n := range o.Nodes {
		if n.Status.ID == 0 && n.DeletionTimestamp == nil && last < int32(model.MaxNodeID) {
			last++
			ids[n.Name] = last
		}
	}
	if last == o.Cluster.Status.LastNodeID {
		return ids, nil
	}
	written := o.Cluster.DeepCopy()
	written.Status.LastNodeID = last
	if err := r.Client.Status().Update(ctx, written); err != nil {
		return nil, fmt.Errorf("reserving node ids of cluster %s: %w", o.Name, err)
	}
	o.Cluster = written
	return ids, nil
}
