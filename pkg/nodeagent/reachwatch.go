package nodeagent

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/ipaddress"
	"github.com/quorate/quorate/pkg/snapshot"
)

const (
	// askWait is how long answers to a question on the wire are awaited.
	askWait = 300 * time.Millisecond
	// heardSlack is how old the word of the heartbeats may be.
	heardSlack = 2 * maxSleep
)

// reachWatch finds out on each network for clients whether this host hears anybody there. Where heartbeats come, they are enough, and
// nothing is sent. Where none come it asks on the wire for gateways and other nodes: as long as one answers, only that one.
type reachWatch struct {
	log      logr.Logger
	now      func() time.Duration
	standing func() *standing
	settings func() *Settings
	world    func() *world
	reached  func() bool
	changed  func()
	wall     time.Time

	mu       sync.Mutex
	networks map[string]*reach
	// answered is who has answered last, by network. It belongs to run.
	answered map[string]netip.Addr
}

// run looks until ctx ends: each second, and at once when the kernel tells of a link.
func (w *reachWatch) run(ctx context.Context) {
	links := make(chan netlink.LinkUpdate, 16)
	done := make(chan struct{})
	defer close(done)
	if err := netlink.LinkSubscribe(links, done); err != nil {
		w.log.Info("The kernel does not tell of changes of interfaces; they are looked at every second", "reason", err.Error())
		links = nil
	}
	ticker := time.NewTicker(reachInterval)
	defer ticker.Stop()
	for {
		w.lookAtAll(ctx)
		select {
		case <-ctx.Done():
			return
		case _, open := <-links:
			if !open {
				links = nil // the socket was lost; the ticker goes on
			}
		case <-ticker.C:
		}
	}
}

func (w *reachWatch) lookAtAll(ctx context.Context) {
	s := w.settings()
	if s == nil {
		return
	}
	interfaces, err := interfacesByAddress()
	if err != nil {
		w.log.V(1).Info("The host's interfaces cannot be listed", "reason", err.Error())
		return
	}
	present := map[string]bool{}
	for i := range s.Networks {
		n := &s.Networks[i]
		own, peers := addressesOn(s, n.Name)
		if !n.Clients || !own.IsValid() {
			continue
		}
		present[n.Name] = true
		w.take(n.Name, w.look(ctx, n, own, peers, interfaces))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.networks, func(name string, _ *reach) bool { return !present[name] })
}

// addressesOn are the address of this node on a network, and those of the others.
func addressesOn(s *Settings, network string) (own netip.Addr, peers []netip.Addr) {
	for _, n := range s.Nodes {
		address, err := netip.ParseAddr(n.Addresses[network])
		switch {
		case err != nil:
		case n.ID == s.Self:
			own = address
		default:
			peers = append(peers, address)
		}
	}
	return own, peers
}

func (w *reachWatch) look(ctx context.Context, n *NetworkSettings, own netip.Addr, peers []netip.Addr, interfaces map[netip.Addr]net.Interface) reachLook {
	i, found := interfaces[own]
	l := reachLook{carrier: found && i.Flags&net.FlagUp != 0 && i.Flags&net.FlagRunning != 0}
	if !l.carrier {
		return l
	}
	targets := append(gatewaysOn(n, &i, own), peers...)
	for _, t := range targets {
		l.asked = append(l.asked, t.String())
	}
	if l.heard = w.heartbeats(n); l.heard || len(targets) == 0 {
		return l
	}
	if last := w.answered[n.Name]; slices.Contains(targets, last) && w.ask(ctx, n.Name, &i, []netip.Addr{last}) {
		l.heard = true
		return l
	}
	l.heard = w.ask(ctx, n.Name, &i, targets)
	return l
}

// heartbeats says whether any came on the network lately.
func (w *reachWatch) heartbeats(n *NetworkSettings) bool {
	s := w.standing()
	if !n.Heartbeats || s.Settings == nil {
		return false
	}
	return slices.ContainsFunc(s.Links, func(l heartbeat.Link) bool {
		return l.Network == n.Name && l.LastHeard != 0 && w.now()-l.LastHeard <= s.Settings.hold()+heardSlack
	})
}

// ask says whether any of the addresses answers on the wire.
func (w *reachWatch) ask(ctx context.Context, network string, i *net.Interface, targets []netip.Addr) bool {
	answers, err := ipaddress.WhoHas(ctx, i, targets, askWait)
	if err != nil {
		w.log.V(1).Info("Nobody was asked for on a network", "network", network, "interface", i.Name, "reason", err.Error())
	}
	for _, t := range targets {
		if len(answers[t]) > 0 {
			if w.answered == nil {
				w.answered = map[string]netip.Addr{}
			}
			w.answered[network] = t
			return true
		}
	}
	return false
}

// gatewaysOn are the routers of the network: those that the Cluster names, else those of this host's routes over the interface.
func gatewaysOn(n *NetworkSettings, i *net.Interface, own netip.Addr) []netip.Addr {
	var all []netip.Addr
	add := func(ip netip.Addr) {
		if ip.IsValid() && ip != own && !slices.Contains(all, ip) {
			all = append(all, ip)
		}
	}
	for _, g := range n.Gateways {
		if ip, err := netip.ParseAddr(g); err == nil {
			add(ip)
		}
	}
	if len(n.Gateways) > 0 {
		return all
	}
	for _, g := range ipaddress.Gateways(i.Index) {
		if slices.ContainsFunc(n.CIDRs, func(c string) bool { p, err := netip.ParsePrefix(c); return err == nil && p.Contains(g) }) {
			add(g)
		}
	}
	return all
}

func (w *reachWatch) take(network string, l reachLook) {
	w.mu.Lock()
	if w.networks == nil {
		w.networks = map[string]*reach{}
	}
	r := w.networks[network]
	if r == nil {
		r = &reach{}
		w.networks[network] = r
	}
	changed := r.look(w.now(), l)
	state := r.state
	w.mu.Unlock()
	if changed {
		w.log.Info("Whether anybody is heard on a network has changed", "network", network, "reach", state, "asked", l.asked)
		w.changed()
	}
}

// annotate adds what is known to the host's interfaces.
func (w *reachWatch) annotate(interfaces []v1alpha1.AgentInterface) []v1alpha1.AgentInterface {
	out := slices.Clone(interfaces)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range out {
		if r := w.networks[out[i].Network]; r != nil {
			out[i].Reach, out[i].ReachSince = r.state, &metav1.Time{Time: w.wall.Add(r.since).Truncate(time.Second)}
		}
	}
	return out
}

// isolated implements monitor.Options.Isolated. What others reach is only known while the API server tells it.
func (w *reachWatch) isolated(network string, group resourcetype.Identity) error {
	w.mu.Lock()
	var r *reach
	if known := w.networks[network]; known != nil {
		r = new(*known)
	}
	w.mu.Unlock()
	if r == nil || r.state != v1alpha1.NetworkIsolated {
		return nil
	}
	others, err := w.others(network, group)
	if err != nil {
		w.log.V(1).Info("What other nodes reach is not known", "network", network, "reason", err.Error())
		return nil
	}
	return isolatedFrom(network, r, w.now(), others)
}

// others are the other nodes, by what the cluster says of them and of the group's possible owners.
func (w *reachWatch) others(network string, group resourcetype.Identity) ([]otherReach, error) {
	s, objects := w.standing(), w.world()
	if objects == nil || s.View == nil || s.Settings == nil || !w.reached() {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), directTimeout)
	defer cancel()
	nodes, err := objects.nodes(ctx)
	if err != nil {
		return nil, err
	}
	resources, err := objects.resources(ctx, client.ObjectKey{Namespace: group.Namespace, Name: group.Name})
	if err != nil {
		return nil, err
	}
	possible := snapshot.PossibleOwners(resources)
	var list []otherReach
	for _, n := range nodes {
		if n.Spec.ClusterName != s.Settings.Cluster || n.Status.ID == int32(s.Self.ID) || n.Status.Agent == nil {
			continue
		}
		o := otherReach{node: n.Name, mayTake: present(s, model.NodeID(n.Status.ID)) && takes(n)}
		o.mayTake = o.mayTake && (possible == nil || slices.Contains(possible, n.Name))
		if i := slices.IndexFunc(n.Status.Agent.Interfaces, func(i v1alpha1.AgentInterface) bool { return i.Network == network }); i >= 0 {
			o.state = n.Status.Agent.Interfaces[i].Reach
		}
		list = append(list, o)
	}
	return list, nil
}

// present says that the node is a member of the view, and heard: what its status says is not that of a host that is gone.
func present(s *standing, id model.NodeID) bool {
	p, known := s.peer(id)
	return known && !p.Silent && s.View.Has(id)
}

// takes says that nothing in the Node's own object keeps groups from it.
func takes(n *v1alpha1.Node) bool {
	return n.DeletionTimestamp == nil && !n.Spec.Maintenance && (n.Spec.Availability == "" || n.Spec.Availability == v1alpha1.AvailabilityAvailable) &&
		!meta.IsStatusConditionTrue(n.Status.Conditions, v1alpha1.NodeConditionQuarantined)
}
