package nodeagent

import (
	"context"
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/runstate"
)

// Operations of the agent's socket.
const (
	// OpQuorumStatus asks for a QuorumStatus; it takes Nothing.
	OpQuorumStatus = "quorum/status"
)

// Nothing is the request of an operation that needs none.
type Nothing struct{}

// QuorumStatus is how this node stands in its cluster's quorum at this moment, by its own clock.
type QuorumStatus struct {
	Node string `json:"node"`
	// View is empty while the node is in none.
	View    string   `json:"view,omitempty"`
	Members []string `json:"members,omitempty"`
	// ActingFor and KeepingFor are what is left of the two leases, rounded to milliseconds; empty when there is none (rule R7).
	ActingFor  string `json:"actingFor,omitempty"`
	KeepingFor string `json:"keepingFor,omitempty"`
	// Committed is the vote record in force, Tentative the one that is to follow it.
	Committed string `json:"committed"`
	Tentative string `json:"tentative,omitempty"`
	// Forced says that an operator forced the record, Prevented that this node forms no quorum of its own (A40, A41).
	Forced    bool `json:"forced,omitempty"`
	Prevented bool `json:"prevented,omitempty"`
	// StopsIn is set while quorum is lost and the stop waits for the challenge under way (R8).
	StopsIn string `json:"stopsIn,omitempty"`
	// Witness is nil when none is configured.
	Witness *QuorumWitness `json:"witness,omitempty"`
	Peers   []QuorumVote   `json:"peers,omitempty"`
}

// QuorumWitness is the vote beside the nodes.
type QuorumWitness struct {
	Name string `json:"name"`
	// Holder is the node that holds it, as far as this node knows; empty when none does.
	Holder string `json:"holder,omitempty"`
	// HeldFor is how long this node's own hold still counts; empty when it is not the holder.
	HeldFor string `json:"heldFor,omitempty"`
	// Counts says that its vote counts in the view now, Trouble why this node does not reach it.
	Counts  bool   `json:"counts"`
	Trouble string `json:"trouble,omitempty"`
}

// QuorumVote is what another node contributes.
type QuorumVote struct {
	Node string `json:"node"`
	// State is Heard, Silent or Unknown.
	State string `json:"state"`
	// GrantFor is how long its promise to this node still counts; empty when it does not (rule R1).
	GrantFor string `json:"grantFor,omitempty"`
}

// serveSocket answers the commands of this host's operator. They need no API server. What fails here stops nothing.
func (a *agent) serveSocket(ctx context.Context) {
	server := localapi.NewServer(a.log.WithName("socket"))
	a.serveQuorum(server)
	a.serveHostCommands(server)
	localapi.Query(server, OpFenceStatus, a.powerFencer.status)
	localapi.Act(server, OpFenceConfirm, a.powerFencer.confirm)
	localapi.Act(server, OpClearForeign, a.clearer.clearHere)
	for ctx.Err() == nil {
		err := server.Serve(ctx, a.opts.RunDir)
		if err == nil {
			return
		}
		a.log.Error(err, "Commands on this host are not answered; trying again")
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
		}
	}
}

// quorumStatus asks the membership loop itself: what others look at may be a moment old.
func (a *agent) quorumStatus(ctx context.Context, _ *Nothing) (*QuorumStatus, error) {
	var status membership.Status
	var settings *Settings
	err := a.core.do(ctx, func() error {
		if a.core.machine == nil {
			return localapi.Refused("this host is in no cluster yet: see the Node's status.agent.problems, or the agent's log")
		}
		status, settings = a.core.machine.Status(a.core.now()), a.core.settings
		return nil
	})
	if err != nil {
		return nil, err
	}
	return quorumStatusOf(&status, settings, runstate.BootTime()), nil
}

func quorumStatusOf(s *membership.Status, settings *Settings, now time.Duration) *QuorumStatus {
	out := &QuorumStatus{
		Node: settings.NodeName, ActingFor: left(s.ActingUntil, now), KeepingFor: left(s.KeepingUntil, now), Committed: s.Committed.String(),
	}
	if s.Tentative != nil {
		out.Tentative = s.Tentative.String()
	}
	out.Forced, out.Prevented = s.Committed != nil && s.Committed.Forced, s.Prevented
	if s.Suspended {
		out.StopsIn = left(s.StopAt, now)
	}
	if w := s.Witness; w.ID != 0 {
		out.Witness = &QuorumWitness{
			Name: settings.witnessName(w.ID), Holder: settings.nodeName(w.Holder), HeldFor: left(w.Until, now), Counts: w.Counts, Trouble: w.Trouble,
		}
	}
	if s.View != nil {
		out.View = s.View.ID.String()
		for _, m := range s.View.Members {
			out.Members = append(out.Members, fmt.Sprintf("%s (%s)", settings.nodeName(m.ID), m))
		}
	}
	for _, p := range s.Peers {
		vote := QuorumVote{Node: settings.nodeName(p.ID), State: "Heard", GrantFor: left(p.GrantUntil, now)}
		switch {
		case !p.Heard:
			vote.State = "Unknown"
		case p.Silent:
			vote.State = "Silent"
		}
		out.Peers = append(out.Peers, vote)
	}
	return out
}

// left is how long it is until then, "" when that is past.
func left(until, now time.Duration) string {
	if until <= now {
		return ""
	}
	return (until - now).Round(time.Millisecond).String()
}
