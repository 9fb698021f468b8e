package nodeagent

import (
	"context"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/fenceplan"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/model"
)

// Operations about fencing.
const (
	// OpFenceConfirm takes a ConfirmOff and answers with what it was taken for.
	OpFenceConfirm = "fence/confirm"
	// OpFenceStatus takes Nothing and answers with a FenceStatus.
	OpFenceStatus = "fence/status"
)

// ConfirmOff is an operator's word that a host is off.
type ConfirmOff struct {
	// Node is the name of the node.
	Node string `json:"node"`
	// Generation is the life that is over; 0 is the newest that is known.
	Generation uint64 `json:"generation,omitempty"`
	// Reason says how that is known. It is needed.
	Reason string `json:"reason"`
}

// FenceStatus is what this host knows of fencing.
type FenceStatus struct {
	// CanFence are the nodes whose power this host can cut, with the levels that it can use.
	CanFence []v1alpha1.AgentFenceTarget `json:"canFence,omitempty"`
	// Lost tells of every node that is missing from the view why it is fenced, or not. Empty while no node with fencing is missing.
	Lost          []fenceplan.Verdict          `json:"lost,omitempty"`
	Fencings      []v1alpha1.AgentFencing      `json:"fencings,omitempty"`
	Confirmations []v1alpha1.AgentConfirmation `json:"confirmations,omitempty"`
}

// confirm takes an operator's word. It proves that one life of the node is over, and says nothing of any other.
func (f *powerFencer) confirm(ctx context.Context, caller localapi.Caller, request *ConfirmOff) (*v1alpha1.AgentConfirmation, error) {
	s := f.standing()
	reason := strings.TrimSpace(request.Reason)
	switch {
	case reason == "" || len(reason) > maxProblemText:
		return nil, localapi.Invalid("reason: say how it is known that the host is off, in 1 to %d bytes", maxProblemText)
	case s.Settings == nil || !s.Acting || s.View == nil:
		return nil, localapi.Refused("this host is in no view that may act: confirm on one that is (quorate-agent quorum status)")
	}
	at := slices.IndexFunc(s.Settings.Nodes, func(n NodeSettings) bool { return n.Name == request.Node })
	switch {
	case at < 0:
		return nil, localapi.Invalid("node: the cluster has no node %q", request.Node)
	case s.Settings.Nodes[at].ID == s.Self.ID:
		return nil, localapi.Refused("this host is %s itself, and it is not off", request.Node)
	case s.View.Has(s.Settings.Nodes[at].ID):
		return nil, localapi.Refused("%s is in view %s: it is alive", request.Node, s.View.ID)
	}
	id := s.Settings.Nodes[at].ID
	newest, err := f.namedLife(ctx, s, id, request)
	if err != nil {
		return nil, err
	}
	if p, found := s.peer(id); found && p.Heard && !p.Silent {
		return nil, localapi.Refused("%s is heard by this host: it is not off", request.Node)
	}
	now := metav1.NewMicroTime(f.now().Truncate(time.Microsecond))
	c := v1alpha1.AgentConfirmation{
		Node: request.Node, NodeID: int32(id), Generation: int64(newest), By: cut(caller.User+" on "+f.nodeName, maxProblemObject), Reason: reason, Time: &now,
	}
	f.mu.Lock()
	f.memory.Confirmations[c.Node] = c
	f.save()
	f.mu.Unlock()
	f.changed()
	f.wakeUp()
	return &c, nil
}

// namedLife is the life of a node that a confirmation speaks of: the newest that is known, which a generation in the request must be.
func (f *powerFencer) namedLife(ctx context.Context, s *standing, id model.NodeID, request *ConfirmOff) (model.Generation, error) {
	newest, err := f.newestLife(ctx, s, id)
	switch {
	case err != nil:
		return 0, err
	case request.Generation == 0 && newest == 0:
		return 0, localapi.Refused("no life of %s is known here: name its generation (status.generation of its Node)", request.Node)
	case request.Generation != 0 && newest != 0 && request.Generation != uint64(newest):
		return 0, localapi.Refused("the newest life of %s that is known is generation %d, not %d", request.Node, newest, request.Generation)
	case request.Generation != 0:
		newest = model.Generation(request.Generation)
	}
	return newest, nil
}

// newestLife is the newest generation of a node that is known here; 0 for none.
func (f *powerFencer) newestLife(ctx context.Context, s *standing, id model.NodeID) (model.Generation, error) {
	var nodes []*v1alpha1.Node
	if w := f.world(); w != nil {
		var err error
		if nodes, err = w.nodes(ctx); err != nil {
			return 0, err
		}
	}
	var newest model.Generation
	for _, n := range nodes {
		if n.Spec.ClusterName == f.cluster && n.Status.ID == int32(id) {
			newest = model.Generation(max(0, n.Status.Generation))
		}
	}
	if p, found := s.peer(id); found {
		newest = max(newest, p.Generation)
	}
	return newest, nil
}

func (f *powerFencer) status(context.Context, *Nothing) (*FenceStatus, error) {
	out := &FenceStatus{}
	out.CanFence, out.Fencings, out.Confirmations = f.report()
	f.mu.Lock()
	out.Lost = slices.Clone(f.verdicts)
	f.mu.Unlock()
	return out, nil
}
