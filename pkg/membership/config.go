package membership

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Config is what the machine knows of the cluster's spec. It may change while the machine runs (SetConfig).
type Config struct {
	// Self is this node's id, 1 to model.MaxNodeID.
	Self model.NodeID
	// Interval is the time between heartbeats; the API's default is 250 ms.
	Interval time.Duration
	// Threshold is the number of intervals after which a peer is silent; the API's default is 4, the least is 2.
	Threshold int
	// Nodes are all nodes of the cluster, Self included. Datagrams of others are refused.
	Nodes []NodeConfig
	// DynamicVotes lets the vote record follow the view (R5). Without it every configured voter stays a voter.
	DynamicVotes bool
	// Witness is the vote beside the nodes (R8).
	Witness WitnessConfig
}

// NodeConfig is one node of the cluster.
type NodeConfig struct {
	ID model.NodeID
	// Votes is 0 or 1. A node with 0 is never a voter.
	Votes int
}

// Hold is T: the time for which a grant counts, and after which a peer that is not heard is silent.
func (c Config) Hold() time.Duration { return time.Duration(c.Threshold) * c.Interval }

// promiseFor is T' for a given T (R4): who promises waits longer than who counts, by more than two clocks may drift apart.
func promiseFor(hold time.Duration) time.Duration { return hold * 103 / 100 }

// Validate says what is wrong with the configuration, nil if nothing.
func (c Config) Validate() error {
	switch {
	case c.Self == 0 || c.Self > model.MaxNodeID:
		return fmt.Errorf("membership: own node id %d is not in 1..%d", c.Self, model.MaxNodeID)
	case c.Interval <= 0:
		return fmt.Errorf("membership: heartbeat interval %s is not positive", c.Interval)
	case c.Threshold < 2:
		return fmt.Errorf("membership: heartbeat threshold %d is below 2: one lost datagram would be a failure", c.Threshold)
	case !slices.ContainsFunc(c.Nodes, func(n NodeConfig) bool { return n.ID == c.Self }):
		return fmt.Errorf("membership: own node %d is not among the cluster's nodes", c.Self)
	case c.Witness.ID == 0 && c.Witness.Only:
		return errors.New("membership: only the witness is to vote, but there is none")
	}
	seen := map[model.NodeID]bool{}
	for _, n := range c.Nodes {
		if n.ID == 0 || n.ID > model.MaxNodeID {
			return fmt.Errorf("membership: node id %d is not in 1..%d", n.ID, model.MaxNodeID)
		}
		if seen[n.ID] {
			return fmt.Errorf("membership: node %d is configured twice", n.ID)
		}
		if n.Votes < 0 || n.Votes > 1 {
			return fmt.Errorf("membership: node %d has %d votes; 0 or 1 are possible", n.ID, n.Votes)
		}
		seen[n.ID] = true
	}
	return nil
}

// Reasons for which Receive drops a message. The caller counts them.
var (
	// ErrOwnID: the message carries this node's own id: a loop, or a second host that was given the same id.
	ErrOwnID = errors.New("membership: message carries this node's own id")
	// ErrUnknownNode: the sender is not configured.
	ErrUnknownNode = errors.New("membership: sender is not a node of this cluster")
	// ErrOldIncarnation: the sender has restarted since; a late datagram or a replay.
	ErrOldIncarnation = errors.New("membership: message of an old incarnation")
	// ErrOldSequence: seen already (on another network, duplicated, replayed) or overtaken by a later one.
	ErrOldSequence = errors.New("membership: sequence number already passed")
)

// ErrHasRecord refuses a first formation on a node that already has a vote record (R11).
var ErrHasRecord = errors.New("membership: this node already has a vote record; a cluster is formed only once")
