package controllers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/controllers/cluster"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/controllers/node"
	"github.com/quorate/quorate/controllers/quorumconfig"
	"github.com/quorate/quorate/controllers/resource"
	"github.com/quorate/quorate/controllers/resourcegroup"
	"github.com/quorate/quorate/pkg/replay"
)

// showDelay is how long the controllers that only show things wait, so that a burst of events is one round for them and the group
// controller has a failover's first moments, and the processor, for itself.
const showDelay = 50 * time.Millisecond

// Setup adds every controller to the manager. Namespace is that of the reporters' Leases; keep is given the inputs of decisions that move
// something, nil keeps none.
func Setup(ctx context.Context, mgr ctrl.Manager, namespace string, keep func(*replay.Record)) error {
	signs := inventory.NewSigns(namespace, clock.RealClock{})
	if err := listen(ctx, mgr, signs); err != nil {
		return err
	}
	c := client.WithFieldOwner(mgr.GetClient(), v1alpha1.ManagerFieldManager)
	reader := &inventory.Reader{Client: mgr.GetClient(), Liveness: signs}
	recorder := mgr.GetEventRecorder(chronicle.Name)
	now := clock.RealClock{}
	groups := &resourcegroup.Reconciler{Client: c, Inventory: reader, Recorder: recorder, Clock: now, Keep: keep, Past: chronicle.NewPast(c, instance())}
	nodes := &node.Reconciler{Client: c, Inventory: reader, Recorder: recorder, Clock: now}
	clusters := &cluster.Reconciler{Client: c, Inventory: reader, Recorder: recorder, Clock: now, NewID: newID}
	quorum := &quorumconfig.Reconciler{Client: c, Inventory: reader, Clock: now}
	resources := &resource.Reconciler{Client: c, Inventory: reader, Services: mgr.GetClient(), Direct: mgr.GetAPIReader(), Recorder: recorder, Clock: now}
	for name, setup := range map[string]func() error{
		"resourcegroup": func() error { return groups.SetupWithManager(mgr, signs) },
		"node":          func() error { return nodes.SetupWithManager(mgr, signs, showDelay) },
		"cluster":       func() error { return clusters.SetupWithManager(mgr, signs, showDelay) },
		"quorumconfig":  func() error { return quorum.SetupWithManager(mgr, signs, showDelay) },
		"resource":      func() error { return resources.SetupWithManager(mgr, signs, showDelay) },
	} {
		if err := setup(); err != nil {
			return fmt.Errorf("setting up controller %s: %w", name, err)
		}
	}
	return nil
}

// listen feeds the signs of life from the cache, on a standby too: it has to know, the moment it leads, who is heard.
func listen(ctx context.Context, mgr ctrl.Manager, signs *inventory.Signs) error {
	leases, err := mgr.GetCache().GetInformer(ctx, &coordinationv1.Lease{})
	if err != nil {
		return fmt.Errorf("watching the reporters' leases: %w", err)
	}
	nodes, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.Node{})
	if err != nil {
		return fmt.Errorf("watching nodes: %w", err)
	}
	observe := func(o any) {
		switch object := o.(type) {
		case *coordinationv1.Lease:
			signs.ObserveLease(object)
		case *v1alpha1.Node:
			signs.ObserveNode(object)
		}
	}
	handler := toolscache.ResourceEventHandlerFuncs{AddFunc: observe, UpdateFunc: func(_, o any) { observe(o) }}
	heardLeases, err := leases.AddEventHandler(handler)
	if err != nil {
		return fmt.Errorf("listening to the reporters' leases: %w", err)
	}
	heardNodes, err := nodes.AddEventHandler(handler)
	if err != nil {
		return fmt.Errorf("listening to nodes: %w", err)
	}
	signs.Synced = []func() bool{heardLeases.HasSynced, heardNodes.HasSynced}
	return mgr.Add(signs)
}

// instance tells one replica's Events from another's.
func instance() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return chronicle.Name
	}
	return name
}

// newID is 64 random bits as 16 hexadecimal digits.
func newID() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // it never fails: the program would have ended
	return hex.EncodeToString(raw[:])
}
