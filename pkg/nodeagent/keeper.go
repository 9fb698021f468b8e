package nodeagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/snapshot"
)

// groupMonitor is what the keeper needs of monitor.Monitor.
type groupMonitor interface {
	SetIdentity(node model.NodeID, generation model.Generation, clusterID string) error
	Adopt() ([]resourcetype.Identity, error)
	CleanUp(ctx context.Context) []monitor.Leftover
	Apply(d monitor.GroupDesired) error
	Forget(groupUID string)
	ViewInstalled(view lifecycle.View)
	ViewLost()
	SetFencing(f lifecycle.Fencing)
	Reports() []monitor.GroupReport
	Active() bool
	StopAll(ctx context.Context, deadline time.Duration) []monitor.Leftover
	Close()
}

// applied is what the keeper has told the monitor of a group.
type applied struct {
	key   client.ObjectKey
	epoch model.Epoch
	run   bool
	// content is the desired state as JSON, to see whether anything has changed.
	content string
	desired monitor.GroupDesired
	// generations are the generations of the Resource objects that went into it.
	generations map[string]int64
}

// keeper owns the groups of this node. One goroutine runs it; touch, wakeUp and observed may be called by others.
type keeper struct {
	log       logr.Logger
	now       func() time.Duration
	nodeName  string
	cluster   string
	core      *core
	lease     *lease
	monitor   groupMonitor
	enrolment *enrolment
	// world is what the API server shows, orders say whether it is obeyed.
	world    func() *world
	orders   *gate
	problems *problems
	// said says that the heartbeats tell whether this node goes by a journal.
	said func() bool
	// burnt says whether the guardian has burnt a generation; unlock takes its lock away once a later life has cleaned up.
	burnt  func(model.Generation) bool
	unlock func() error
	// published is called when something has changed that the statuses tell, renewed when a life has begun and nothing is to be
	// told of the one before.
	published func()
	// stuck is called when something is still there at the self-fence deadline.
	stuck   func([]monitor.Leftover)
	renewed func(present []monitor.GroupReport)
	// proofs are the lives of nodes that are proven over because their host is off.
	proofs func(context.Context) (fenced, confirmed map[model.Member]bool, err error)

	wake chan struct{}
	// lost wakes the fencer.
	lost chan struct{}
	// generation is the life that the monitor may start things in; 0 before the first.
	generation atomic.Uint64
	// complete is begun, for others than the loop.
	complete atomic.Uint64
	// fencing is held while everything is being stopped.
	fencing sync.Mutex

	mu    sync.Mutex
	dirty map[client.ObjectKey]bool
	all   bool
	known map[string]applied // by group uid
	specs map[string]int64   // generations of Nodes and Clusters

	// The rest belongs to the loop. begun is the life whose beginning is complete, present what the monitor reports in a pass.
	begun model.Generation
	// readied is the life in which the node was made ready for views.
	readied model.Generation
	// leftover says that something of an older generation is still there: no life begins, and the guardian stays on its guard.
	leftover bool
	present  map[string]client.ObjectKey // by group uid
	// running is the epoch at which a group runs, by uid; since the first view in which this life is known to have acted.
	running map[string]model.Epoch
	since   firstView
	waiting map[client.ObjectKey]bool
	view    model.ViewID
	again   time.Duration
}

func (k *keeper) wakeUp() {
	for _, c := range []chan struct{}{k.lost, k.wake} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// lookAgain asks for a pass after d although nothing happens.
func (k *keeper) lookAgain(d time.Duration) {
	if k.again == 0 || d < k.again {
		k.again = d
	}
}

// run makes a pass whenever something has changed, until ctx ends.
func (k *keeper) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-timer.C:
		}
		k.again = 0
		k.pass(ctx)
		if k.again == 0 {
			k.again = 10 * time.Second
		}
		timer.Reset(k.again)
	}
}

func (k *keeper) pass(ctx context.Context) {
	switch s := k.core.standing(); {
	case s.Self.Generation != 0 && s.Self.Generation != k.begun:
		k.newLife(ctx, s)
	case s.Self.Generation != 0 && k.readied != k.begun:
		k.makeReady(ctx, k.begun, k.monitor.Active())
	}
	k.since.note(k.core.standing())
	w := k.world()
	k.groups(ctx, w != nil && k.enrolment.pass(ctx, k, w))
	k.tellView(ctx)
	if !k.leftover {
		k.lease.setActive(k.active()) // with leftovers the guardian goes on watching, as the life before left it
	}
	k.published()
}

// groups looks at every group that may have changed, as long as it is known whom to obey: the API server, which may not be used now, or a journal.
func (k *keeper) groups(ctx context.Context, usable bool) {
	all, dirty := k.takeDirty()
	// What the API shows is asked for only now: after it was out of reach it may come from another cache since this pass began, which has touched
	// all groups, and the one before shows none of what happened meanwhile.
	var api *world
	if usable {
		api = k.world()
	}
	w, release := k.orders.hold(k.core.standing(), api)
	release()
	if w == nil {
		k.giveBack(all, dirty)
		return // new orders bring another pass
	}
	k.present, k.running = map[string]client.ObjectKey{}, map[string]model.Epoch{}
	for _, r := range k.monitor.Reports() {
		k.running[r.Group.UID] = r.Running
		k.present[r.Group.UID] = client.ObjectKey{Namespace: r.Group.Namespace, Name: r.Group.Name}
	}
	if all {
		groups, err := w.groups(ctx, k.cluster)
		if err != nil {
			k.retry(err, nil)
			return
		}
		for _, g := range groups {
			dirty[client.ObjectKeyFromObject(g)] = true
		}
		for _, key := range k.present {
			dirty[key] = true
		}
	}
	for key := range dirty {
		if err := k.obey(ctx, api, key); err != nil {
			k.retry(err, &key)
		}
	}
}

// obey does what the group's assignment asks, by whoever is to be obeyed now: no new orders come in between.
func (k *keeper) obey(ctx context.Context, api *world, key client.ObjectKey) error {
	w, release := k.orders.hold(k.core.standing(), api)
	defer release()
	if w == nil {
		k.giveBack(false, map[client.ObjectKey]bool{key: true})
		return nil
	}
	return k.group(ctx, w, key)
}

// group does what the group's assignment asks of this node.
func (k *keeper) group(ctx context.Context, w *world, key client.ObjectKey) error {
	g, err := w.group(ctx, key)
	if err != nil {
		return err
	}
	uid := ""
	if g != nil && g.Spec.ClusterName == k.cluster {
		uid = string(g.UID)
	}
	if err := k.forgetOthers(ctx, w, key, uid); err != nil || uid == "" {
		return err
	}
	s := k.core.standing()
	if s.Self.Generation != k.begun {
		return nil // everything is looked at again when the new life has begun
	}
	before, known := k.appliedTo(uid)
	if _, present := k.present[uid]; present {
		known = true
	}
	a := snapshot.AssignmentFor(g, k.nodeName)
	switch judge(a, s, k.since.number, known, k.running[uid]) {
	case lifecycle.VerdictRun:
		return k.take(ctx, w, g, a, before)
	case lifecycle.VerdictStop:
		return k.apply(withdrawnOf(g, a), key, nil)
	case lifecycle.VerdictOld:
		d := withdrawnOf(g, a)
		d.Epoch++
		return k.apply(d, key, nil)
	case lifecycle.VerdictWait:
		k.waiting[key] = true
	case lifecycle.VerdictNone:
	}
	return nil
}

// take runs the group here, as far as the manager has accepted what its resources ask for.
func (k *keeper) take(ctx context.Context, w *world, g *v1alpha1.ResourceGroup, a *v1alpha1.Assignment, before applied) error {
	around, err := k.surroundings(ctx, w, g)
	if err != nil || around == nil {
		return err
	}
	key := client.ObjectKeyFromObject(g)
	if name := around.unaccepted(g); name != "" {
		epoch := model.Epoch(a.Epoch)
		if !before.run || before.epoch == epoch {
			k.log.V(1).Info("Waiting until the spec is accepted", "group", key, "object", name)
			return nil
		}
		d := before.desired // the same resources as until now, at the new epoch
		d.Epoch, d.View = epoch, withdrawnOf(g, a).View
		return k.apply(d, key, before.generations)
	}
	d, err := desiredOf(g, a, around)
	if err != nil {
		return err
	}
	generations := map[string]int64{}
	for _, r := range around.resources {
		generations[string(r.UID)] = r.Generation
	}
	return k.apply(d, key, generations)
}

func (k *keeper) surroundings(ctx context.Context, w *world, g *v1alpha1.ResourceGroup) (*surroundings, error) {
	cluster, err := w.cluster(ctx, k.cluster)
	if err != nil || cluster == nil {
		return nil, err
	}
	node, err := w.node(ctx, k.nodeName)
	if err != nil || node == nil {
		return nil, err
	}
	resources, err := w.resources(ctx, client.ObjectKeyFromObject(g))
	if err != nil {
		return nil, err
	}
	settings := k.core.standing().Settings
	return &surroundings{cluster: cluster, node: node, resources: resources, networks: settings.networkInfo()}, nil
}

// apply tells the monitor what it does not know yet. The guardian hears of it first.
func (k *keeper) apply(d monitor.GroupDesired, key client.ObjectKey, generations map[string]int64) error {
	content, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encoding the assignment of %s: %w", key, err)
	}
	before, known := k.appliedTo(d.Group.UID)
	if known && before.content == string(content) {
		return nil
	}
	if d.Run {
		k.lease.setActive(true)
	}
	if err := k.monitor.Apply(d); err != nil {
		var refused *lifecycle.RefusedError
		if errors.As(err, &refused) {
			k.log.Info("An assignment is not obeyed", "group", key, "epoch", d.Epoch, "run", d.Run, "reason", err.Error())
			return nil
		}
		return err
	}
	if !known || before.epoch != d.Epoch {
		k.log.Info("Assignment", "group", key, "run", d.Run, "epoch", d.Epoch, "unproven", len(d.Unproven))
	}
	k.mu.Lock()
	k.known[d.Group.UID] = applied{
		key: key, epoch: d.Epoch, run: d.Run, content: string(content), desired: d, generations: generations,
	}
	k.mu.Unlock()
	return nil
}

// forgetOthers stops groups of that name with another uid: the object is gone, or was made again. The server is asked first, since
// a cache that lost a watch may not know everything (rule O11).
func (k *keeper) forgetOthers(ctx context.Context, w *world, key client.ObjectKey, uid string) error {
	for other, at := range k.present {
		if at != key || other == uid || w.copied {
			continue // while a journal is gone by, nothing is deleted
		}
		gone, err := w.vanished(ctx, key, other)
		if err != nil {
			return err
		}
		if !gone {
			continue
		}
		k.log.Info("The group's object is gone; what runs of it is stopped", "group", key, "uid", other)
		k.monitor.Forget(other)
		k.mu.Lock()
		delete(k.known, other)
		k.mu.Unlock()
	}
	return nil
}

func (k *keeper) appliedTo(uid string) (applied, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, known := k.known[uid]
	return a, known
}
