package nodeagent

import (
	"context"
	"errors"
	"strings"

	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/membership"
)

// Operations of the agent's socket about quorum, beside OpQuorumStatus.
const (
	// OpQuorumForce takes a QuorumForce.
	OpQuorumForce = "quorum/force"
	// OpQuorumPrevent takes a QuorumPrevent.
	OpQuorumPrevent = "quorum/prevent"
)

// maxReason bounds an operator's words.
const maxReason = 512

// QuorumForce asks this node to go on without a majority (WSFC's /FQ, A40, A42).
type QuorumForce struct {
	// Reason says why the operator is sure that no other node of the cluster acts. It is logged.
	Reason string `json:"reason"`
}

// QuorumPrevent tells this node to form no quorum but to join others (WSFC's /PQ, A41), or takes that back.
type QuorumPrevent struct {
	Off    bool   `json:"off,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func (a *agent) serveQuorum(server *localapi.Server) {
	localapi.Query(server, OpQuorumStatus, a.quorumStatus)
	localapi.Act(server, OpQuorumForce, a.quorumForce)
	localapi.Act(server, OpQuorumPrevent, a.quorumPrevent)
}

func (a *agent) quorumForce(ctx context.Context, _ localapi.Caller, q *QuorumForce) (Nothing, error) {
	reason := strings.TrimSpace(q.Reason)
	if reason == "" || len(reason) > maxReason {
		return Nothing{}, localapi.Invalid("a reason of 1 to %d characters is needed: say why no other node of the cluster can be acting", maxReason)
	}
	err := a.core.force(ctx)
	if errors.Is(err, membership.ErrQuorate) {
		return Nothing{}, localapi.Refused("this node is in a quorate view; there is nothing to force")
	}
	if err == nil {
		a.log.Info("Quorum was forced on this node", "reason", reason)
	}
	return Nothing{}, err
}

func (a *agent) quorumPrevent(ctx context.Context, _ localapi.Caller, q *QuorumPrevent) (Nothing, error) {
	if len(q.Reason) > maxReason {
		return Nothing{}, localapi.Invalid("the reason is longer than %d characters", maxReason)
	}
	return Nothing{}, a.core.prevent(ctx, !q.Off)
}
