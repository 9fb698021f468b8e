package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
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
		if n.Status.Agent != nil {
			last = max(last, n.Status.Agent.NodeID)
		}
	}
	for _, n := range o.Nodes {
		if known := knownToAgent(o, n); known != 0 {
			ids[n.Name] = known
			continue
		}
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

// knownToAgent is the id under which a host that the API has forgotten keeps its promises; 0 when there is none, or when another node
// has it.
func knownToAgent(o *snapshot.Objects, n *v1alpha1.Node) int32 {
	agent := n.Status.Agent
	if n.Status.ID != 0 || n.DeletionTimestamp != nil || agent == nil || agent.NodeID == 0 || o.Cluster == nil || agent.ClusterID != o.Cluster.Status.ClusterID {
		return 0
	}
	taken := slices.ContainsFunc(o.Nodes, func(other *v1alpha1.Node) bool {
		return other != n && (other.Status.ID == agent.NodeID || other.Status.Agent != nil && other.Status.Agent.NodeID == agent.NodeID)
	})
	if taken {
		return 0
	}
	return agent.NodeID
}
