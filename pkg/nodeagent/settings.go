package nodeagent

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// Built-in values of what a Cluster may leave out.
const (
	defaultInterval  = 250 * time.Millisecond
	defaultThreshold = 4
	defaultSelfFence = time.Second
)

// Settings are what the agent needs of the API to take part in its cluster. They are kept in the state directory, so that it starts
// before the API server is reached, and without it. The file holds the heartbeat keys and is for root only.
type Settings struct {
	Cluster string `json:"cluster"`
	// ClusterID has 16 hexadecimal digits; empty before the first formation, and then there are no heartbeats.
	ClusterID string        `json:"clusterID"`
	NodeName  string        `json:"nodeName"`
	Self      model.NodeID  `json:"self"`
	Interval  time.Duration `json:"interval"`
	Threshold int           `json:"threshold"`
	Port      uint16        `json:"port"`
	SelfFence time.Duration `json:"selfFence"`
	// WatchdogDevice is the one that the guardian arms; empty for none.
	WatchdogDevice string `json:"watchdogDevice,omitempty"`
	DynamicVotes   bool   `json:"dynamicVotes"`
	// Autonomy says that the nodes decide themselves while none of them reaches the API server.
	Autonomy bool `json:"autonomy,omitempty"`
	// Witness is nil when there is none; WitnessOnly gives it alone a vote. EarlierWitnesses are named by a vote record still.
	Witness          *WitnessSettings  `json:"witness,omitempty"`
	WitnessOnly      bool              `json:"witnessOnly,omitempty"`
	EarlierWitnesses []WitnessSettings `json:"earlierWitnesses,omitempty"`

	Networks []NetworkSettings `json:"networks"`
	Nodes    []NodeSettings    `json:"nodes"`
	// Keys authenticate heartbeats: the first signs, all are accepted.
	Keys [][]byte `json:"keys"`
}

// NetworkSettings is one network of the cluster.
type NetworkSettings struct {
	Name  string   `json:"name"`
	CIDRs []string `json:"cidrs"`
	// Heartbeats says that its role includes Internal.
	Heartbeats bool `json:"heartbeats"`
	// Clients says that its role includes Client.
	Clients bool `json:"clients,omitempty"`
	// Gateways are its routers; empty when each host is to look into its routes.
	Gateways []string `json:"gateways,omitempty"`
}

// NodeSettings is one node of the cluster.
type NodeSettings struct {
	Name      string            `json:"name"`
	ID        model.NodeID      `json:"id"`
	Votes     int               `json:"votes"`
	Addresses map[string]string `json:"addresses"`
	// GuardsAddresses is what the node's status said when it was last seen (rule O13): its kernel silences guarded addresses.
	GuardsAddresses bool `json:"guardsAddresses"`
	// Watchdog is the timeout of the node's armed watchdog device, as its status said; 0 without one.
	Watchdog time.Duration `json:"watchdog,omitempty"`
	// OnlyPower says that the cluster requires fencing and that the node has power fencing and no armed watchdog: that its deadline
	// has passed proves nothing (O14).
	OnlyPower bool `json:"onlyPower,omitempty"`
}

// secrets are what the settings need of Secrets: the heartbeat keys, and the kubeconfig of a Lease witness.
type secrets struct {
	keys       [][]byte
	kubeconfig []byte
}

// settingsFrom reads the objects of the API. quorum may be nil.
func settingsFrom(
	self *v1alpha1.Node, cluster *v1alpha1.Cluster, quorum *v1alpha1.QuorumConfig, nodes []*v1alpha1.Node, secrets secrets,
) *Settings {
	hb := cluster.Spec.Heartbeat
	s := &Settings{
		Cluster: cluster.Name, ClusterID: cluster.Status.ClusterID, NodeName: self.Name, Self: model.NodeID(self.Status.ID),
		Interval: defaultInterval, Threshold: defaultThreshold, Port: heartbeat.DefaultPort, SelfFence: defaultSelfFence,
		DynamicVotes: true, Keys: secrets.keys, Autonomy: cluster.Spec.Autonomy == v1alpha1.AutonomyEnabled,
	}
	s.Witness, s.WitnessOnly = witnessFrom(quorum, secrets.kubeconfig)
	if hb.Interval != nil {
		s.Interval = hb.Interval.Duration
	}
	if hb.Threshold != nil {
		s.Threshold = int(*hb.Threshold)
	}
	if hb.Port != nil {
		s.Port = uint16(*hb.Port)
	}
	if t := cluster.Spec.SelfFence.Timeout; t != nil {
		s.SelfFence = t.Duration
	}
	s.WatchdogDevice = cluster.Spec.SelfFence.WatchdogDevice
	if quorum != nil && quorum.Spec.DynamicVotes != nil {
		s.DynamicVotes = *quorum.Spec.DynamicVotes
	}
	for _, n := range cluster.Spec.Networks {
		s.Networks = append(s.Networks, NetworkSettings{
			Name: n.Name, CIDRs: slices.Clone(n.CIDRs), Heartbeats: n.Role.CarriesHeartbeats(), Clients: n.Role.ServesClients(),
			Gateways: slices.Clone(n.Gateways),
		})
	}
	for _, n := range nodes {
		if n.Spec.ClusterName != cluster.Name || n.Status.ID == 0 {
			continue
		}
		node := nodeSettings(n)
		node.OnlyPower = cluster.Spec.RequireFencing && onlyPower(n)
		s.Nodes = append(s.Nodes, node)
	}
	slices.SortFunc(s.Nodes, func(a, b NodeSettings) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func nodeSettings(n *v1alpha1.Node) NodeSettings {
	out := NodeSettings{Name: n.Name, ID: model.NodeID(n.Status.ID), Votes: 1, Addresses: map[string]string{}}
	if n.Spec.Votes != nil {
		out.Votes = int(*n.Spec.Votes)
	}
	for _, a := range n.Spec.Addresses {
		// Heartbeats use the first address on a network, a second one (of the other family) is for clients.
		if _, found := out.Addresses[a.Network]; !found {
			out.Addresses[a.Network] = a.Address
		}
	}
	if agent := n.Status.Agent; agent != nil && agent.Guards != nil {
		out.GuardsAddresses = agent.Guards.Addresses
		if agent.Guards.Watchdog && agent.Guards.WatchdogTimeout != nil {
			out.Watchdog = agent.Guards.WatchdogTimeout.Duration
		}
	}
	return out
}

// onlyPower says that nothing but its power stops what runs on the node when its kernel hangs.
func onlyPower(n *v1alpha1.Node) bool {
	agent := n.Status.Agent
	return len(n.Spec.Fencing) > 0 && (agent == nil || agent.Guards == nil || !agent.Guards.Watchdog)
}

// keepVoters keeps the nodes of the settings before whose objects are gone, as long as the view or a vote record has them: a voter
// that nobody hears any more would take the quorum of the others with it. Dynamic votes let go of it when it has stopped.
func (s *Settings) keepVoters(before *Settings, now *standing) {
	if before == nil {
		return
	}
	for _, n := range before.Nodes {
		needed := now.Committed.HasVoter(n.ID) || now.Tentative.HasVoter(n.ID) || now.View != nil && now.View.Has(n.ID)
		if needed && !slices.ContainsFunc(s.Nodes, func(o NodeSettings) bool { return o.ID == n.ID }) {
			s.Nodes = append(s.Nodes, n)
		}
	}
	slices.SortFunc(s.Nodes, func(a, b NodeSettings) int { return cmp.Compare(a.ID, b.ID) })
}

func (s *Settings) equal(o *Settings) bool {
	return s != nil && o != nil && reflect.DeepEqual(s, o)
}

// validate says why no heartbeats can be sent under these settings.
func (s *Settings) validate() error {
	switch {
	case s.ClusterID == "":
		return errors.New("the cluster has not been formed yet")
	case s.Self == 0:
		return errors.New("the node has no id yet")
	case len(s.Keys) == 0:
		return errors.New("there is no heartbeat key")
	}
	if _, err := s.clusterID(); err != nil {
		return err
	}
	return s.membership().Validate()
}

func (s *Settings) clusterID() (uint64, error) {
	id, err := strconv.ParseUint(s.ClusterID, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("cluster id %q is not 16 hexadecimal digits: %w", s.ClusterID, err)
	}
	return id, nil
}

// hold is T: after this long without a datagram a peer is silent.
func (s *Settings) hold() time.Duration { return s.membership().Hold() }

// membership is the machine's part of the settings.
func (s *Settings) membership() membership.Config {
	c := membership.Config{Self: s.Self, Interval: s.Interval, Threshold: s.Threshold, DynamicVotes: s.DynamicVotes}
	c.Witness = s.witnessConfig()
	for _, n := range s.Nodes {
		c.Nodes = append(c.Nodes, membership.NodeConfig{ID: n.ID, Votes: n.Votes})
	}
	return c
}

// transport is the heartbeats' part. Networks on which this node has no usable address are left out.
func (s *Settings) transport() (heartbeat.Config, error) {
	id, err := s.clusterID()
	if err != nil {
		return heartbeat.Config{}, err
	}
	c := heartbeat.Config{ClusterID: id, Self: s.Self, Port: s.Port, Keys: s.Keys, Silence: s.hold()}
	for _, network := range s.Networks {
		if !network.Heartbeats {
			continue
		}
		n := heartbeat.Network{Name: network.Name, Peers: map[model.NodeID]netip.Addr{}}
		for _, node := range s.Nodes {
			address, err := netip.ParseAddr(node.Addresses[network.Name])
			switch {
			case err != nil:
				continue
			case node.ID == s.Self:
				n.Local = address
			default:
				n.Peers[node.ID] = address
			}
		}
		if n.Local.IsValid() {
			c.Networks = append(c.Networks, n)
		}
	}
	return c, nil
}

// nodeName returns the name of a node, "" if it is not one of the cluster's.
func (s *Settings) nodeName(id model.NodeID) string {
	for _, n := range s.Nodes {
		if n.ID == id {
			return n.Name
		}
	}
	return ""
}

// networkInfo is what resource types need to know of the networks.
func (s *Settings) networkInfo() map[string]resourcetype.NetworkInfo {
	out := map[string]resourcetype.NetworkInfo{}
	for _, n := range s.Networks {
		out[n.Name] = resourcetype.NetworkInfo{CIDRs: n.CIDRs, Gateways: n.Gateways}
	}
	return out
}
