package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// enrolment keeps the settings in step with the API, and brings the node into its cluster.
type enrolment struct {
	log   logr.Logger
	now   func() time.Duration
	files *files

	mu sync.Mutex
	// settings are those in force, or nil.
	settings *Settings

	// keys are those in force.
	keys   [][]byte
	ring   keyring
	keyRef v1alpha1.SecretReference
	keysAt time.Duration
	// keysTried is when they were last asked for, with or without an answer.
	keysTried time.Duration
	said      string

	kubeconfig kubeconfig
}

// current returns the settings in force; nil before the node is enrolled.
func (e *enrolment) current() *Settings {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.settings
}

func (e *enrolment) set(s *Settings) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settings = s
}

// say logs why the node is not enrolled, once for each reason.
func (e *enrolment) say(text string) {
	if text != e.said && text != "" {
		e.log.Info("Not in the cluster: " + text)
	}
	e.said = text
}

// pass takes over what has changed. It reports whether this node may obey assignments of the API: false when the API speaks of
// another cluster, or does not know this node.
func (e *enrolment) pass(ctx context.Context, k *keeper, w *world) bool {
	node, cluster, why, err := e.objects(ctx, k, w)
	if err != nil {
		k.retry(err, nil)
		return false
	}
	if why != "" {
		e.say(why)
		k.lookAgain(time.Second)
		return false
	}
	before := e.current()
	if foreign := e.foreign(before, cluster); foreign != "" {
		k.problems.one(v1alpha1.ProblemWrongCluster, "", foreign)
		e.say(foreign)
		return false
	}
	k.problems.one(v1alpha1.ProblemWrongCluster, "", "")
	e.refreshKeys(ctx, k, w, cluster)
	if before != nil && node.Status.ID != 0 && before.Self != model.NodeID(node.Status.ID) {
		if k.core.standing().Keeping {
			// A Node that was deleted and made again is renumbered once the host has left; an API server that was restored without
			// its statuses must not stop a cluster that works (S8).
			k.problems.one(problemNodeID, "", fmt.Sprintf("the API gives this node id %d; it stays %d while it has quorum", node.Status.ID, before.Self))
			k.lookAgain(time.Second)
			return true
		}
		return e.renumber(ctx, k, node)
	}
	quorum, err := w.quorum(ctx, cluster.Name)
	if err != nil {
		k.retry(err, nil)
		return false
	}
	nodes, err := w.nodes(ctx)
	if err != nil {
		k.retry(err, nil)
		return false
	}
	e.refreshKubeconfig(ctx, k, w, quorum)
	s := settingsFrom(node, cluster, quorum, nodes, secrets{keys: e.keys, kubeconfig: e.kubeconfig.content})
	if s.ClusterID == "" && before != nil {
		s.ClusterID = before.ClusterID // the API was restored without it: the controller takes it from us
	}
	s.keepVoters(before, k.core.standing())
	s.keepWitnesses(before, k.core.standing())
	if err := e.adopt(ctx, k, before, s, node, nodes); err != nil {
		k.problems.one(problemSettings, "", err.Error())
		e.say(err.Error())
		k.lookAgain(time.Second)
		return before != nil
	}
	k.problems.one(problemSettings, "", "")
	e.form(ctx, k, w, cluster)
	return e.current() != nil
}

// objects returns the node and its cluster, or why there are none.
func (e *enrolment) objects(ctx context.Context, k *keeper, w *world) (*v1alpha1.Node, *v1alpha1.Cluster, string, error) {
	node, err := w.node(ctx, k.nodeName)
	if err != nil {
		return nil, nil, "", err
	}
	cluster, err := w.cluster(ctx, k.cluster)
	if err != nil {
		return nil, nil, "", err
	}
	switch {
	case node == nil:
		return nil, nil, fmt.Sprintf("there is no Node %q", k.nodeName), nil
	case node.Spec.ClusterName != k.cluster:
		why := fmt.Sprintf("Node %s belongs to Cluster %q, but this agent was started for %q", node.Name, node.Spec.ClusterName, k.cluster)
		k.problems.one(v1alpha1.ProblemWrongCluster, "", why)
		return nil, nil, why, nil
	case cluster == nil:
		why := fmt.Sprintf("there is no Cluster %q", k.cluster)
		k.problems.one(problemNoCluster, k.cluster, why)
		return nil, nil, why, nil
	}
	k.problems.one(problemNoCluster, "", "")
	return node, cluster, "", nil
}

// foreign says why the API's cluster is not the one that this host belongs to; "" when it is.
func (e *enrolment) foreign(before *Settings, cluster *v1alpha1.Cluster) string {
	id := cluster.Status.ClusterID
	if before == nil || before.ClusterID == "" || id == "" || before.ClusterID == id {
		return ""
	}
	return fmt.Sprintf("this host belongs to the cluster with id %s, but Cluster %s has id %s; to make it join the other one, "+
		"stop the agent and remove its state directory", before.ClusterID, cluster.Name, id)
}

// refreshKeys reads the heartbeat keys again from time to time. Without an answer those that are known stay in force.
func (e *enrolment) refreshKeys(ctx context.Context, k *keeper, w *world, cluster *v1alpha1.Cluster) {
	ref := cluster.Spec.Heartbeat.KeySecretRef
	refresh := keyRefresh
	if rotating(k.core.standing(), e.now()) {
		refresh = keyHurry
		k.lookAgain(keyHurry)
	}
	if before := e.current(); e.ring.secret == nil && before != nil {
		e.ring.secret = before.Keys // what an agent before this one had in force
	}
	if e.keys != nil && ref == e.keyRef && e.now() < max(e.keysAt+refresh, e.keysTried+keyRetry) {
		e.keys = e.ring.inForce(e.now())
		return
	}
	k.lookAgain(refresh)
	e.keysTried = e.now()
	keys, err := w.keys(ctx, ref)
	if err != nil {
		k.problems.one(v1alpha1.ProblemNoKey, ref.Namespace+"/"+ref.Name, err.Error())
		e.log.Error(err, "The heartbeat key cannot be read")
		k.lookAgain(keyRetry)
		if before := e.current(); e.keys == nil && before != nil {
			e.keys = before.Keys
		}
		return
	}
	k.problems.one(v1alpha1.ProblemNoKey, "", "")
	e.ring.take(keys, e.now())
	e.keys, e.keyRef, e.keysAt = e.ring.inForce(e.now()), ref, e.now()
}

// adopt puts new settings into force: on disk first.
func (e *enrolment) adopt(ctx context.Context, k *keeper, before, s *Settings, node *v1alpha1.Node, nodes []*v1alpha1.Node) error {
	if s.equal(before) {
		return nil
	}
	if err := s.validate(); err != nil {
		if before == nil {
			e.say(err.Error()) // the ordinary course of a first formation
			return nil
		}
		return fmt.Errorf("the cluster's new settings are not usable, the old ones stay in force: %w", err)
	}
	if err := e.files.saveSettings(s); err != nil {
		return err
	}
	var err error
	if before == nil {
		err = k.core.begin(ctx, s, k.burnt, seedOf(node, nodes))
	} else {
		err = k.core.reconfigure(ctx, s)
	}
	if err != nil {
		return err
	}
	e.set(s)
	e.say("")
	return nil
}

// seedOf lets a host that has lost its disk go on above what the cluster remembers of it, and above the views of all others: one of
// them may have lost its disk a moment before, and have taken all to higher numbers than this node could still report.
func seedOf(node *v1alpha1.Node, others []*v1alpha1.Node) membership.Persistent {
	seed := membership.Persistent{Generation: model.Generation(max(0, node.Status.Generation))}
	if agent := node.Status.Agent; agent != nil {
		seed.Generation = max(seed.Generation, model.Generation(max(0, agent.Generation)))
		seed.Incarnation = uint64(max(0, agent.Incarnation))
	}
	for _, n := range append([]*v1alpha1.Node{node}, others...) {
		if agent := n.Status.Agent; agent != nil && agent.View != nil && n.Spec.ClusterName == node.Spec.ClusterName {
			seed.HighestView = max(seed.HighestView, uint64(max(0, agent.View.ID.Number)))
		}
	}
	if seed.Generation > 0 || seed.Incarnation > 0 {
		// The API may have missed the last of them.
		seed.Generation += membership.LostDiskMargin
		seed.Incarnation += membership.LostDiskMargin
		seed.HighestView += membership.LostDiskMargin
	}
	return seed
}

// form takes part in the first formation of the cluster, if this node is in it (rule R11).
func (e *enrolment) form(ctx context.Context, k *keeper, w *world, cluster *v1alpha1.Cluster) {
	s := k.core.standing()
	if s.Settings == nil || s.Committed != nil || s.Tentative != nil || !forms(cluster, s) {
		return
	}
	// The cache may be late: the formation may be over, and then this node must not start another one.
	fresh, err := w.freshCluster(ctx, cluster.Name)
	if err != nil {
		k.retry(err, nil)
		return
	}
	if fresh == nil || !forms(fresh, s) {
		return
	}
	var members []model.NodeID
	for _, id := range fresh.Status.Formation.Members {
		members = append(members, model.NodeID(id))
	}
	err = k.core.form(ctx, members)
	if errors.Is(err, membership.ErrHasRecord) {
		return // by a peer that was faster
	}
	if err != nil {
		e.log.Error(err, "The cluster cannot be formed here")
		return
	}
	e.log.Info("Forming the cluster", "clusterID", fresh.Status.ClusterID, "members", members)
}

func forms(c *v1alpha1.Cluster, s *standing) bool {
	f := c.Status.Formation
	return f != nil && !f.Completed && c.Status.ClusterID == s.Settings.ClusterID && slices.Contains(f.Members, int32(s.Self.ID))
}

// renumber begins again as another node, after the Node was deleted and made again: nothing that ran under the old id may go on.
func (e *enrolment) renumber(ctx context.Context, k *keeper, node *v1alpha1.Node) bool {
	before := e.current()
	e.log.Info("The Node has a new id; the host leaves the cluster under the old one", "old", before.Self, "new", node.Status.ID)
	k.view = model.ViewID{}
	left := k.fence(ctx, before.SelfFence)
	k.problems.set(problemLeftover, leftoverProblems(left))
	if len(left) > 0 {
		k.lookAgain(time.Second)
		return false
	}
	seed := seedOf(node, nil)
	now := k.core.standing()
	seed.Generation, seed.Incarnation = max(seed.Generation, now.Self.Generation), max(seed.Incarnation, now.Incarnation)
	if err := k.core.reset(ctx, seed); err != nil {
		k.problems.one(problemNodeID, "", err.Error())
		k.lookAgain(time.Second)
		return false
	}
	k.begun = 0
	e.set(nil)
	k.lookAgain(time.Millisecond)
	return false
}
