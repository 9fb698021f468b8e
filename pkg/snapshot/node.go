package snapshot

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

func nodeOf(n *v1alpha1.Node, view *model.View) model.Node {
	node := model.Node{
		Name:             n.Name,
		ID:               model.NodeID(n.Status.ID),
		Generation:       model.Generation(n.Status.Generation),
		State:            NodeState(n, view),
		Role:             model.Role(n.Spec.Role),
		Availability:     availability(n),
		FailbackOnResume: model.FailbackOnResume(n.Spec.FailbackOnResume),
		ForceDrain:       n.Spec.ForceDrain,
		Maintenance:      n.Spec.Maintenance,
		Quarantined:      meta.IsStatusConditionTrue(n.Status.Conditions, v1alpha1.NodeConditionQuarantined),
		FaultDomain:      n.Spec.FaultDomain,
		Capacity:         amounts(n.Spec.Capacity),
		Reserved:         amounts(n.Spec.Reserved),
		JoinEpoch:        uint64(n.Status.Joins),
	}
	if node.Role == "" {
		node.Role = model.RoleActive
	}
	if n.Status.JoinedAt != nil {
		node.JoinedAt = n.Status.JoinedAt.Time
	}
	if generation, ok := view.Generation(node.ID); ok {
		node.Generation = generation
		node.Connected = reachesAPI(view, node.ID)
	}
	if agent := n.Status.Agent; agent != nil {
		if agent.Guards != nil {
			node.GuardsAddresses, node.Watchdog = agent.Guards.Addresses, agent.Guards.Watchdog
		}
		node.Reached = reachedBy(agent)
		for _, disk := range agent.Disks {
			if !disk.Visible {
				if node.HiddenDisks == nil {
					node.HiddenDisks = map[string]bool{}
				}
				node.HiddenDisks[disk.Device] = true
			}
		}
		node.LackedImages = lackedImages(agent.Images)
	}
	return node
}

// lackedImages are those that the host does not have. One that it says nothing of has not been looked for yet, which takes seconds.
func lackedImages(images []v1alpha1.AgentImage) map[string]model.ImageLack {
	var lacked map[string]model.ImageLack
	for _, image := range images {
		if image.State == v1alpha1.ImagePresent {
			continue
		}
		if lacked == nil {
			lacked = map[string]model.ImageLack{}
		}
		lacked[image.Name] = model.ImageAwaited
		if image.State == v1alpha1.ImageMissing {
			lacked[image.Name] = model.ImageMissing
		}
	}
	return lacked
}

// reachedBy are the networks on which the agent hears somebody; nil for none.
func reachedBy(agent *v1alpha1.AgentStatus) map[string]time.Time {
	var reached map[string]time.Time
	for _, i := range agent.Interfaces {
		if i.Reach != v1alpha1.NetworkReached || i.ReachSince == nil {
			continue
		}
		if reached == nil {
			reached = map[string]time.Time{}
		}
		reached[i.Network] = i.ReachSince.Time
	}
	return reached
}

// availability is what the operator wants of the node. One that is being deleted is to be left by its groups.
func availability(n *v1alpha1.Node) model.Availability {
	switch {
	case n.DeletionTimestamp != nil:
		return model.Drained
	case n.Spec.Availability == "":
		return model.Available
	default:
		return model.Availability(n.Spec.Availability)
	}
}

// NodeState is what the cluster thinks of a node, by the view that decides; a nil view is none.
func NodeState(n *v1alpha1.Node, view *model.View) model.NodeState {
	switch {
	case view == nil && n.Status.Joins == 0:
		return model.NodeJoining
	case view == nil:
		return model.NodeUnknown
	case n.Status.ID != 0 && view.Has(model.NodeID(n.Status.ID)):
		if availability(n) != model.Available {
			return model.NodePaused
		}
		return model.NodeUp
	case n.Status.Joins == 0:
		return model.NodeJoining
	default:
		return model.NodeDown
	}
}

func reachesAPI(view *model.View, id model.NodeID) bool {
	for _, m := range view.Members {
		if m.ID == id {
			return m.ReachesAPI
		}
	}
	return false
}

// amounts are in milli-units; nil for none.
func amounts(q v1alpha1.Quantities) map[string]int64 {
	if len(q) == 0 {
		return nil
	}
	out := make(map[string]int64, len(q))
	for name, quantity := range q {
		out[name] = quantity.MilliValue()
	}
	return out
}

// powerFencing says that another node can cut this one's power with a level of its present spec. One that is down just now counts:
// what it could is a property of the cluster, and must not come and go with every failure.
func powerFencing(n *v1alpha1.Node, nodes []*v1alpha1.Node) bool {
	return slices.ContainsFunc(nodes, func(other *v1alpha1.Node) bool {
		if other.Name == n.Name || other.Status.Agent == nil {
			return false
		}
		return slices.ContainsFunc(other.Status.Agent.CanFence, func(target v1alpha1.AgentFenceTarget) bool {
			return target.Node == n.Name && slices.ContainsFunc(n.Spec.Fencing, func(l v1alpha1.FencingLevel) bool {
				return slices.Contains(target.Levels, l.Level)
			})
		})
	})
}
