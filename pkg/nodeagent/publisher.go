package nodeagent

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
)

const (
	writeTimeout = 3 * time.Second
	// resourceWriters write statuses of resources in parallel; those of one resource stay in order.
	resourceWriters = 8
	// settleDelay is how long the status of a resource settles before it is written. Nothing is decided from it, so a state that lasts
	// less is not worth a write, least of all while the word that a group is released is on its way.
	settleDelay = 60 * time.Millisecond
	// A write of the Node's status that took minRest or more is followed by a pause as long, up to maxRest.
	minRest, maxRest = 50 * time.Millisecond, 500 * time.Millisecond
)

// publisher writes status.agent of the own Node and the statuses of the Resources that this node owns. A status is computed when it
// is written, so changes that come faster than they can be written become one write.
type publisher struct {
	log      logr.Logger
	nodeName string
	writer   client.Client
	world    func() *world
	reached  func() bool
	// observe gathers what status.agent is made of, but for what the API shows.
	observe func() *observed
	// generations tells of which generation of its spec a resource was started.
	applied func(groupUID string) (applied, bool)
	wall    time.Time

	nodes     workqueue.TypedRateLimitingInterface[string]
	resources workqueue.TypedRateLimitingInterface[client.ObjectKey]

	mu sync.Mutex
	// reports are the last of each group, by uid.
	reports map[string]monitor.GroupReport
	// members is the group of each resource.
	members map[client.ObjectKey]string
	// written is the last status of each resource that was written successfully, with the uid of the object.
	written map[client.ObjectKey]writtenStatus

	// lastNode is the last status.agent that was written, lazySince when it began to differ in what can wait. They belong to the
	// one worker of nodes.
	lastNode  *v1alpha1.AgentStatus
	lazySince time.Time
	// nodeRest is until when the next write of it rests, unless it has a new view. With a thousand groups it is a large object, and each
	// group's news would keep the API server from what it is waited for.
	nodeRest time.Time
	nodeEcho echo
	lazy     *rate.Limiter
}

type writtenStatus struct {
	uid    string
	status v1alpha1.ResourceStatus
	echo   echo
}

func newQueue[T comparable](name string) workqueue.TypedRateLimitingInterface[T] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[T](20*time.Millisecond, 2*time.Second),
		workqueue.TypedRateLimitingQueueConfig[T]{Name: name},
	)
}

func (p *publisher) init() {
	p.nodes, p.resources = newQueue[string]("node"), newQueue[client.ObjectKey]("resources")
	p.reports, p.members = map[string]monitor.GroupReport{}, map[client.ObjectKey]string{}
	p.written = map[client.ObjectKey]writtenStatus{}
	p.lazy = rate.NewLimiter(rate.Every(lazyInterval), lazyBurst)
}

// kick has status.agent written again if it has changed.
func (p *publisher) kick() { p.nodes.Add(p.nodeName) }

// observed takes a report of the monitor.
func (p *publisher) observed(r monitor.GroupReport) {
	p.mu.Lock()
	before := p.reports[r.Group.UID]
	p.reports[r.Group.UID] = r
	if r.Gone {
		delete(p.reports, r.Group.UID)
	}
	for _, resource := range r.Resources {
		key := client.ObjectKey{Namespace: r.Group.Namespace, Name: resource.Name}
		p.members[key] = r.Group.UID
		if !contains(before, resource.UID, func(b int) bool {
			return before.Running == r.Running && reflect.DeepEqual(before.Resources[b], resource)
		}) {
			p.resources.AddAfter(key, settleDelay)
		}
	}
	for _, resource := range before.Resources {
		if !contains(r, resource.UID, func(int) bool { return true }) {
			p.resources.Add(client.ObjectKey{Namespace: r.Group.Namespace, Name: resource.Name}) // nothing of it is here any more
		}
	}
	p.mu.Unlock()
	p.kick()
}

func contains(r monitor.GroupReport, uid string, same func(int) bool) bool {
	for i := range r.Resources {
		if r.Resources[i].UID == uid {
			return same(i)
		}
	}
	return false
}

// drop forgets the groups of a generation that is over.
func (p *publisher) drop(keep []monitor.GroupReport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.reports)
	for _, r := range keep {
		p.reports[r.Group.UID] = r
	}
}

// everything has all statuses compared with what the API shows: after the API was out of reach.
func (p *publisher) everything() {
	p.mu.Lock()
	for key := range p.members {
		p.resources.Add(key)
	}
	p.mu.Unlock()
	p.kick()
	p.moved()
}

func (p *publisher) groupReports() []monitor.GroupReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	reports := make([]monitor.GroupReport, 0, len(p.reports))
	for _, r := range p.reports {
		reports = append(reports, r)
	}
	return reports
}

// run writes until ctx ends.
func (p *publisher) run(ctx context.Context) {
	var workers sync.WaitGroup
	workers.Go(func() {
		work(ctx, p.log, p.nodes, func(ctx context.Context, _ string) error { return p.writeNode(ctx) })
	})
	for range resourceWriters {
		workers.Go(func() { work(ctx, p.log, p.resources, p.writeResource) })
	}
	<-ctx.Done()
	p.nodes.ShutDown()
	p.resources.ShutDown()
	workers.Wait()
}

func work[T comparable](ctx context.Context, log logr.Logger, queue workqueue.TypedRateLimitingInterface[T], write func(context.Context, T) error) {
	for {
		item, closed := queue.Get()
		if closed {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, writeTimeout)
		err := write(bounded, item)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				log.V(1).Info("A status is written again", "object", item, "reason", err.Error())
			}
			queue.AddRateLimited(item)
		} else {
			queue.Forget(item)
		}
		queue.Done(item)
	}
}

// writeNode writes status.agent if it differs from what was written last.
func (p *publisher) writeNode(ctx context.Context) error {
	w := p.world()
	if w == nil || !p.reached() {
		return nil // everything() comes when the API server does
	}
	node, err := w.node(ctx, p.nodeName)
	if err != nil || node == nil {
		return err
	}
	o := p.observe()
	o.before = node.Status.Agent
	if p.lastNode != nil && (o.before == nil || o.before.View == nil || newerView(p.lastNode.View, o.before.View)) {
		o.before = p.lastNode // the cache has not caught up with our own last write
	}
	status := agentStatus(o)
	p.awaitEcho(node)
	if p.lastNode == nil && equality.Semantic.DeepEqual(node.Status.Agent, status) {
		p.lastNode = status
	}
	if p.lastNode != nil && equality.Semantic.DeepEqual(p.lastNode, status) {
		p.lazySince = time.Time{}
		return nil
	}
	news := newerView(status.View, o.beforeView())
	if wait := p.dueIn(status, p.issued(ctx, w, status), news); wait > 0 {
		p.nodes.AddAfter(p.nodeName, wait)
		return nil
	}
	began := time.Now()
	if err := p.apply(ctx, "Node", client.ObjectKey{Name: p.nodeName}, map[string]any{"agent": status}, client.FieldOwner(v1alpha1.AgentFieldManager)); err != nil {
		p.lastNode = nil
		return err
	}
	p.log.V(1).Info("Node status written", "took", time.Since(began).String())
	if news {
		p.log.Info("View published", "view", status.View.ID.Number, "after", time.Since(o.standing.Installed).String())
	}
	p.lastNode, p.lazySince = status, time.Time{}
	p.nodeRest = restAfter(began, time.Now())
	p.nodeEcho.wrote(time.Now())
	return nil
}

// dueIn is how long the write of a changed status waits. That of a new view never does.
func (p *publisher) dueIn(status *v1alpha1.AgentStatus, issued map[string]*v1alpha1.Assignment, newView bool) time.Duration {
	wait := p.patience(status, issued)
	if wait == 0 && !newView {
		wait = time.Until(p.nodeRest)
	}
	return wait
}

// restAfter is when the pause after a write ends.
func restAfter(began, ended time.Time) time.Time {
	took := ended.Sub(began)
	if took < minRest {
		return ended
	}
	return ended.Add(min(took, maxRest))
}

// awaitEcho looks whether the last write of the node's status has come back, and forgets it when the API server has lost it.
func (p *publisher) awaitEcho(node *v1alpha1.Node) {
	if p.lastNode == nil || equality.Semantic.DeepEqual(node.Status.Agent, p.lastNode) {
		return
	}
	wait, setBack := p.nodeEcho.missing(node.ResourceVersion, time.Now())
	if wait > 0 {
		p.nodes.AddAfter(p.nodeName, wait)
	}
	if setBack {
		p.lastNode = nil
	}
}

// writeResource writes the status of a resource if this node is its owner, at the highest epoch known.
func (p *publisher) writeResource(ctx context.Context, key client.ObjectKey) error {
	w := p.world()
	if w == nil || !p.reached() {
		return nil
	}
	p.mu.Lock()
	uid := p.members[key]
	report, found := p.reports[uid]
	last, wrote := p.written[key]
	p.mu.Unlock()
	object, err := w.resource(ctx, key)
	if err != nil {
		return err
	}
	if object == nil {
		p.mu.Lock()
		delete(p.members, key)
		delete(p.written, key)
		p.mu.Unlock()
		return nil
	}
	if gone := p.letGo(object); gone != nil {
		shown := p.shown(object, false)
		return p.writeIfChanged(ctx, object, key, &shown, *gone, false)
	}
	if !found {
		return nil
	}
	wrote = wrote && last.uid == string(object.UID)
	shared, err := p.shared(ctx, w, object)
	if err != nil {
		return err
	}
	for i := range report.Resources {
		if report.Resources[i].Name != key.Name || report.Resources[i].UID != string(object.UID) {
			continue
		}
		shown := p.shown(object, shared)
		before := &shown
		if wrote && last.status.Epoch >= before.Epoch && !p.setBack(key, object, &shown) {
			before = &last.status
		}
		epoch := p.epochOf(&report, before)
		if epoch == 0 {
			return nil
		}
		status := resourceStatus(&report.Resources[i], report.Group.Name, p.nodeName, epoch, p.specOf(uid, object, &shown), p.wall, before)
		return p.writeIfChanged(ctx, object, key, before, status, shared)
	}
	return nil
}

// epochOf is the epoch at which this node may speak of the group's resources: the running one, or the last at which it did.
func (p *publisher) epochOf(report *monitor.GroupReport, before *v1alpha1.ResourceStatus) model.Epoch {
	epoch := report.Running
	if epoch == 0 && before.Node == p.nodeName {
		epoch = model.Epoch(before.Epoch)
	}
	if int64(epoch) < before.Epoch || (int64(epoch) == before.Epoch && before.Node != "" && before.Node != p.nodeName) {
		return 0 // another owner has spoken since (S5)
	}
	return epoch
}

func (p *publisher) specOf(groupUID string, object *v1alpha1.Resource, shown *v1alpha1.ResourceStatus) int64 {
	if a, known := p.applied(groupUID); known {
		if generation := a.generations[string(object.UID)]; generation != 0 {
			return generation
		}
	}
	return shown.ObservedGeneration
}

func (p *publisher) writeIfChanged(
	ctx context.Context, object *v1alpha1.Resource, key client.ObjectKey, before *v1alpha1.ResourceStatus, status v1alpha1.ResourceStatus,
	shared bool,
) error {
	same := equality.Semantic.DeepEqual(*before, status)
	if !same {
		if err := p.applyResource(ctx, key, status, shared); err != nil {
			if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
				// A later owner has written: its word counts, and the cache will show it.
				p.log.Info("The status of a resource is not accepted", "resource", key, "epoch", status.Epoch, "reason", err.Error())
			}
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w := writtenStatus{uid: string(object.UID), status: status, echo: p.written[key].echo}
	if !same {
		w.echo.wrote(time.Now())
	}
	p.written[key] = w
	return nil
}

// apply sends a status by server-side apply: this agent's fields and no others.
func (p *publisher) apply(ctx context.Context, kind string, key client.ObjectKey, status any, as client.FieldOwner) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&map[string]any{"status": status})
	if err != nil {
		return fmt.Errorf("encoding the status of %s %s: %w", kind, key, err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind))
	u.SetName(key.Name)
	u.SetNamespace(key.Namespace)
	err = p.writer.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), as, client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("writing the status of %s %s: %w", kind, key, err)
	}
	return nil
}
