package nodeagent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/snapshot"
)

// OpClearForeign takes a ClearForeign and answers with a v1alpha1.AgentClearing.
const OpClearForeign = "disk/clear-foreign-reservation"

const (
	// clearLimit is how long one act may take.
	clearLimit = 30 * time.Second
	// clearLook is how often requests are looked for beside the news of the API server.
	clearLook = 10 * time.Second
	// maxClearings are reported.
	maxClearings = 64
)

// ClearForeign is an operator's word that the owner of keys on a disk is gone.
type ClearForeign struct {
	// Resource is NAMESPACE/NAME of a disk.
	Resource string `json:"resource"`
	// Keys are all foreign keys on the disk, with commas between them.
	Keys string `json:"keys"`
	// Reason says how that is known. It is needed.
	Reason string `json:"reason"`
}

// clearer removes foreign keys from disks when an operator says so, through the API or on this host (O20).
type clearer struct {
	log               logr.Logger
	nodeName, cluster string
	standing          func() *standing
	world             func() *world
	reached           func() bool
	// types is set before run.
	types   *resourcetype.Registry
	changed func()
	now     func() time.Time
	wake    chan struct{}

	// act is held while one is carried out.
	act sync.Mutex

	mu sync.Mutex
	// done are the latest acts, by the resource's uid, until the API has them.
	done map[string]v1alpha1.AgentClearing
}

// touched is told of each object of the API that has changed; nil stands for all.
func (c *clearer) touched(obj client.Object) {
	if r, ok := obj.(*v1alpha1.Resource); obj != nil && (!ok || r.Status.ForeignReservation == nil) {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run carries out what the API asks of this node, until ctx ends.
func (c *clearer) run(ctx context.Context) {
	ticker := time.NewTicker(clearLook)
	defer ticker.Stop()
	for {
		if err := c.pass(ctx); err != nil && ctx.Err() == nil {
			c.log.Info("Whether foreign reservations are to be cleared is not known", "reason", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-ticker.C:
		}
	}
}

func (c *clearer) pass(ctx context.Context) error {
	w := c.world()
	if w == nil {
		return nil
	}
	resources, err := w.allResources(ctx)
	if err != nil {
		return err
	}
	c.forget(resources)
	for _, r := range resources {
		f := r.Status.ForeignReservation
		if f == nil || f.Node != c.nodeName || f.State != v1alpha1.ClearingRequested || c.has(r, f.Number) {
			continue
		}
		keys, err := reservation.ParseKeys(strings.Join(f.Keys, ","), snapshot.MaxForeignKeys)
		done := v1alpha1.AgentClearing{Number: f.Number, Keys: f.Keys, By: f.By, Reason: f.Reason}
		if err != nil {
			c.record(r, done, "", err)
			continue
		}
		c.carryOut(ctx, w, r, keys, done)
	}
	return nil
}

func (c *clearer) has(r *v1alpha1.Resource, number int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, found := c.done[string(r.UID)]
	return found && d.Number == number
}

// forget drops what the API has recorded, and what is about resources that are gone.
func (c *clearer) forget(resources []*v1alpha1.Resource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waits := map[string]bool{}
	for _, r := range resources {
		d, found := c.done[string(r.UID)]
		f := r.Status.ForeignReservation
		waits[string(r.UID)] = found && (f == nil || f.State == v1alpha1.ClearingRequested || f.Number < d.Number || f.Time == nil || f.Time.Time.Before(d.Time.Time))
	}
	maps.DeleteFunc(c.done, func(uid string, _ v1alpha1.AgentClearing) bool { return !waits[uid] })
}

// clearHere is the act of this host's operator.
func (c *clearer) clearHere(ctx context.Context, caller localapi.Caller, request *ClearForeign) (*v1alpha1.AgentClearing, error) {
	namespace, name, ok := strings.Cut(request.Resource, "/")
	keys, err := reservation.ParseKeys(request.Keys, snapshot.MaxForeignKeys)
	reason := strings.TrimSpace(request.Reason)
	switch {
	case !ok || namespace == "" || name == "":
		return nil, localapi.Invalid("resource: %q is not NAMESPACE/NAME of a disk's Resource", request.Resource)
	case err != nil:
		return nil, localapi.Invalid("keys: %v", err)
	case reason == "" || len(reason) > maxProblemText:
		return nil, localapi.Invalid("reason: say how it is known that the owner of the keys is gone, in 1 to %d bytes", maxProblemText)
	}
	w := c.world()
	if w == nil || !c.reached() {
		return nil, localapi.Refused("the API server is out of reach, so this host does not know whether the disk is online elsewhere")
	}
	r, err := w.resource(ctx, client.ObjectKey{Namespace: namespace, Name: name})
	switch {
	case err != nil:
		return nil, err
	case r == nil:
		return nil, localapi.Invalid("resource: there is no Resource %s", request.Resource)
	}
	done := c.carryOut(ctx, w, r, keys, v1alpha1.AgentClearing{
		Keys: strings.Split(reservation.FormatKeys(keys), ","), By: cut(caller.User+" on "+c.nodeName, maxProblemObject), Reason: reason,
	})
	if done.State != v1alpha1.ClearingCleared {
		return nil, localapi.Refused("%s", done.Message)
	}
	return &done, nil
}

// carryOut does one act and keeps how it ended.
func (c *clearer) carryOut(ctx context.Context, w *world, r *v1alpha1.Resource, keys []reservation.Key, act v1alpha1.AgentClearing) v1alpha1.AgentClearing {
	c.act.Lock()
	defer c.act.Unlock()
	ctx, cancel := context.WithTimeout(ctx, clearLimit)
	defer cancel()
	c.log.Info("Foreign keys are to be removed from a disk", "resource", nameOf(r), "keys", act.Keys, "by", act.By, "reason", act.Reason)
	removed, err := c.clear(ctx, w, r, keys)
	message := "none of the keys was on the disk"
	if len(removed) > 0 {
		message = "removed " + reservation.FormatKeys(removed)
	}
	return c.record(r, act, message, err)
}

func nameOf(r *v1alpha1.Resource) string { return r.Namespace + "/" + r.Name }

func (c *clearer) record(r *v1alpha1.Resource, act v1alpha1.AgentClearing, message string, err error) v1alpha1.AgentClearing {
	now := metav1.NewMicroTime(c.now().Truncate(time.Microsecond))
	act.UID, act.Namespace, act.Name, act.Time = string(r.UID), r.Namespace, r.Name, &now
	act.State, act.Message = v1alpha1.ClearingCleared, message
	if err != nil {
		act.State, act.Message = v1alpha1.ClearingFailed, cut(err.Error(), maxProblemText)
	}
	c.log.Info("A foreign reservation: "+string(act.State), "resource", nameOf(r), "message", act.Message)
	c.mu.Lock()
	c.done[act.UID] = act
	if len(c.done) > maxClearings {
		oldest := slices.MinFunc(slices.Collect(maps.Values(c.done)), func(a, b v1alpha1.AgentClearing) int { return a.Time.Compare(b.Time.Time) })
		delete(c.done, oldest.UID)
	}
	c.mu.Unlock()
	c.changed()
	return act
}

// clear looks once more whether it may be done, as things are known here, and does it.
func (c *clearer) clear(ctx context.Context, w *world, r *v1alpha1.Resource, keys []reservation.Key) ([]reservation.Key, error) {
	s := c.standing()
	if err := mayClear(s); err != nil {
		return nil, err
	}
	objects, err := c.objects(ctx, w)
	if err != nil {
		return nil, err
	}
	if _, refusal := snapshot.ForeignClearer(objects, r, c.nodeName); refusal != "" {
		return nil, errors.New(refusal)
	}
	t, err := c.types.Get(string(r.Spec.Type))
	if err != nil {
		return nil, err
	}
	disk, ok := t.(resourcetype.ForeignClearer)
	if !ok {
		return nil, fmt.Errorf("a resource of type %s has no reservation", r.Spec.Type)
	}
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return nil, fmt.Errorf("encoding the spec of %s: %w", nameOf(r), err)
	}
	inst := &resourcetype.Instance{
		Type: string(r.Spec.Type), Resource: resourcetype.Identity{UID: string(r.UID), Namespace: r.Namespace, Name: r.Name},
		Cluster: c.cluster, ClusterID: s.Settings.ClusterID, NodeName: c.nodeName, Node: s.Self.ID, Generation: s.Self.Generation,
		Spec: spec, Log: c.log, MayAct: func() error { return mayClear(c.standing()) },
	}
	return disk.ClearForeign(ctx, inst, keys)
}

func mayClear(s *standing) error {
	if s.Settings == nil || !s.Acting {
		return errors.New("this host is in no view that may act (quorate-agent quorum status)")
	}
	return nil
}

// objects is the cluster as this agent knows it.
func (c *clearer) objects(ctx context.Context, w *world) (*snapshot.Objects, error) {
	nodes, err := w.nodes(ctx)
	if err != nil {
		return nil, err
	}
	o := &snapshot.Objects{Name: c.cluster, Fresh: true}
	o.Nodes = slices.DeleteFunc(nodes, func(n *v1alpha1.Node) bool { return n.Spec.ClusterName != c.cluster })
	if o.Cluster, err = w.cluster(ctx, c.cluster); err != nil {
		return nil, err
	}
	if o.Groups, err = w.groups(ctx, c.cluster); err != nil {
		return nil, err
	}
	o.Resources, err = w.allResources(ctx)
	return o, err
}

// report is the clearer's part of status.agent.
func (c *clearer) report() []v1alpha1.AgentClearing {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.Collect(maps.Values(c.done))
	slices.SortFunc(list, func(a, b v1alpha1.AgentClearing) int { return cmp.Compare(a.UID, b.UID) })
	return list
}
