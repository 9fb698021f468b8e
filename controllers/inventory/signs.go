package inventory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/clock"

	"github.com/quorate/quorate/api/v1alpha1"
)

// MaxSilence is R of the design: controllers decide only while the reporter has renewed its Lease, or published a view, within this
// time by their own clock. The reporter renews every 2 s; a new one begins a second or so after the old one's death.
const MaxSilence = 10 * time.Second

// firstLook is how long a new process waits for a first renewal before it believes that a reporter is silent: the age of the Lease
// that it finds is told by another host's clock, a renewal every 2 s is not.
const firstLook = 3 * time.Second

// Signs remembers when each cluster's reporter last gave a sign of life. Times are taken when a change is seen, so clocks of other
// hosts do not matter; only the age of the first Lease that is seen is told by its own time.
type Signs struct {
	// Namespace of the reporters' Leases.
	Namespace string
	// Clock is the local clock.
	Clock clock.WithTicker
	// Synced are to hold before anything is believed: the first look at all Leases and Nodes.
	Synced []func() bool

	started time.Time
	recall  recall

	mu          sync.Mutex
	last        map[string]time.Time // by cluster
	reporters   map[string]string    // holder of each cluster's Lease
	renewals    map[string]time.Time // renewTime of each cluster's Lease, as last seen
	views       map[string]int64     // number of the view that each Node publishes, as last seen
	highest     map[string]highest   // by cluster
	heard       map[string]bool      // what the listeners were last told of each cluster
	subscribers []func(cluster string)
}

// highest is the highest view of a cluster in one of its lives.
type highest struct {
	clusterID string
	number    uint64
}

// NewSigns returns an empty memory.
func NewSigns(namespace string, c clock.WithTicker) *Signs {
	return &Signs{
		Namespace: namespace, Clock: c, last: map[string]time.Time{}, renewals: map[string]time.Time{}, views: map[string]int64{},
		highest: map[string]highest{}, reporters: map[string]string{}, heard: map[string]bool{}, started: c.Now(),
	}
}

// Subscribe calls f with the name of each cluster whose reporter falls silent or is heard again. f must not block.
func (s *Signs) Subscribe(f func(cluster string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers, f)
}

// Fresh implements Liveness.
func (s *Signs) Fresh(cluster string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh(cluster)
}

func (s *Signs) fresh(cluster string) bool {
	last, ok := s.last[cluster]
	return ok && s.Clock.Since(last) < MaxSilence
}

// Await implements Liveness.
func (s *Signs) Await(ctx context.Context, cluster string, viewKnown bool) error {
	for {
		ready := !slices.ContainsFunc(s.Synced, func(synced func() bool) bool { return !synced() })
		if ready && (!viewKnown || s.Fresh(cluster) || s.Clock.Since(s.started) > firstLook) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for a first sign of life of cluster %s: %w", cluster, ctx.Err())
		case <-s.Clock.After(5 * time.Millisecond):
		}
	}
}

// Reporter implements Liveness.
func (s *Signs) Reporter(cluster string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reporters[cluster]
}

// Recall implements Liveness.
func (s *Signs) Recall(n *v1alpha1.Node, groups map[string]bool) *v1alpha1.Node {
	return s.recall.node(n, groups)
}

// HighestView implements Liveness.
func (s *Signs) HighestView(cluster string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest[cluster].number
}

// ObserveLease takes a change of a Lease as a sign of life of the reporter that renews it.
func (s *Signs) ObserveLease(lease *coordinationv1.Lease) {
	cluster, ok := strings.CutSuffix(lease.Name, v1alpha1.ReporterLeaseName(""))
	if !ok || lease.Namespace != s.Namespace || lease.Spec.RenewTime == nil {
		return
	}
	renewed := lease.Spec.RenewTime.Time
	s.mu.Lock()
	if holder := lease.Spec.HolderIdentity; holder != nil && s.reporters[cluster] != *holder {
		s.reporters[cluster] = *holder
		s.heard[cluster] = false // listeners are told: another node's word may count now
	}
	before, known := s.renewals[cluster]
	s.renewals[cluster] = renewed
	switch now := s.Clock.Now(); {
	case known && before.Equal(renewed):
	case known:
		s.sign(cluster, now)
	default: // the first look cannot know when the renewal was made but from itself
		s.sign(cluster, minTime(now, renewed))
	}
	s.notify(cluster)
}

// ObserveNode takes a newly published view as a sign of life of the reporter that published it.
func (s *Signs) ObserveNode(node *v1alpha1.Node) {
	s.recall.observe(node)
	agent := node.Status.Agent
	if agent == nil || agent.View == nil || !agent.View.Quorate {
		return
	}
	cluster, number := node.Spec.ClusterName, agent.View.ID.Number
	s.mu.Lock()
	before, known := s.views[node.Name]
	s.views[node.Name] = number
	if known && before != number {
		s.sign(cluster, s.Clock.Now())
	} else if !known && agent.View.InstalledAt != nil {
		s.sign(cluster, minTime(s.Clock.Now(), agent.View.InstalledAt.Time))
	}
	if top := s.highest[cluster]; top.clusterID != agent.ClusterID || top.number < uint64(number) {
		s.highest[cluster] = highest{clusterID: agent.ClusterID, number: uint64(number)}
	}
	s.notify(cluster)
}

func (s *Signs) sign(cluster string, at time.Time) {
	if at.After(s.last[cluster]) {
		s.last[cluster] = at
	}
}

// notify unlocks, and tells the subscribers if the cluster's freshness has changed since they were last told.
func (s *Signs) notify(cluster string) {
	heard := s.fresh(cluster)
	changed := s.heard[cluster] != heard
	s.heard[cluster] = heard
	subscribers := s.subscribers
	s.mu.Unlock()
	if !changed {
		return
	}
	for _, f := range subscribers {
		f(cluster)
	}
}

// Start watches for reporters that fall silent until ctx ends. It implements manager.Runnable.
func (s *Signs) Start(ctx context.Context) error {
	ticker := s.Clock.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
			for _, cluster := range s.clusters() {
				s.mu.Lock()
				s.notify(cluster)
			}
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: a standby listens too, so that it knows at once when it leads.
func (*Signs) NeedLeaderElection() bool { return false }

func (s *Signs) clusters() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.last))
	for name := range s.last {
		names = append(names, name)
	}
	return names
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
