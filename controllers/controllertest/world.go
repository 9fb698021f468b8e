package controllertest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/cluster"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/controllers/node"
	"github.com/quorate/quorate/controllers/quorumconfig"
	"github.com/quorate/quorate/controllers/resource"
	"github.com/quorate/quorate/controllers/resourcegroup"
	"github.com/quorate/quorate/pkg/replay"
	"github.com/quorate/quorate/pkg/snapshot"
)

// ErrCrash is what a write answers at which the test lets the manager die.
var ErrCrash = errors.New("the manager dies here")

// World is one cluster in a namespace of its own, its controllers, and its agents.
type World struct {
	T     *testing.T
	Env   *Environment
	Name  string // of the cluster and of the namespace
	Clock *clocktesting.FakePassiveClock
	// Events are what the controllers have told, as "Normal Reason Note".
	Events *events.FakeRecorder
	// Silent makes the reporter silent.
	Silent bool
	// Writes counts the controllers' writes.
	Writes atomic.Int64
	// CrashAt is the number of the write at which the manager dies, counted from the last NewManager; 0 for never.
	CrashAt int64
	// Kept are the inputs of the rounds that moved something, newest last.
	Kept []*replay.Record
	// Hosts are the agents, by node.
	Hosts map[string]*Host

	cache       *memo
	sinceStart  atomic.Int64
	reconcilers []reconcile.Reconciler
	view        int64
}

// NewWorld makes a cluster with the nodes, formed and idle.
func NewWorld(t *testing.T, env *Environment, name string, nodes ...string) *World {
	t.Helper()
	w := &World{
		T: t, Env: env, Name: name, Clock: clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second)), Hosts: map[string]*Host{},
	}
	w.NewManager()
	w.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	w.Create(NewCluster(name), &v1alpha1.QuorumConfig{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.QuorumConfigSpec{ClusterName: name}})
	for i, n := range nodes {
		w.Join(n, i+1)
	}
	w.Settle() // ids
	for _, n := range nodes {
		w.Hosts[n].Report()
	}
	w.Settle() // formation
	if len(nodes) > 0 {
		w.View(nodes...)
		w.Settle()
	}
	t.Cleanup(w.Remove)
	return w
}

// Join makes the i-th Node, with an agent that has not reported yet.
func (w *World) Join(name string, i int) {
	w.Create(NewNode(w.Name, name, i))
	w.Hosts[name] = &Host{world: w, Node: name, Generation: 1, Up: true}
}

// NewManager starts the controllers anew, with nothing in memory.
func (w *World) NewManager() {
	w.T.Helper()
	w.sinceStart.Store(0)
	c := client.WithFieldOwner(interceptor.NewClient(w.Env.Manager, w.counted()), v1alpha1.ManagerFieldManager)
	w.cache = &memo{Reader: w.Env.Manager}
	reader := &inventory.Reader{Client: w.cache, Liveness: w}
	w.Events = events.NewFakeRecorder(10000)
	ids := 0
	newID := func() string { ids++; return fmt.Sprintf("%016x", ids) }
	w.reconcilers = []reconcile.Reconciler{
		&resourcegroup.Reconciler{
			Client: c, Inventory: reader, Recorder: w.Events, Clock: w.Clock, Keep: func(r *replay.Record) { w.Kept = append(w.Kept, r) },
		},
		&node.Reconciler{Client: c, Inventory: reader, Recorder: w.Events, Clock: w.Clock},
		&cluster.Reconciler{Client: c, Inventory: reader, Recorder: w.Events, Clock: w.Clock, NewID: newID},
		&quorumconfig.Reconciler{Client: c, Inventory: reader, Clock: w.Clock},
		&resource.Reconciler{Client: c, Inventory: reader, Services: w.cache, Direct: w.Env.Manager, Recorder: w.Events, Clock: w.Clock},
	}
}

// counted lets every write through but those after the manager's death.
func (w *World) counted() interceptor.Funcs {
	count := func() error {
		w.Writes.Add(1)
		if n := w.sinceStart.Add(1); w.CrashAt > 0 && n >= w.CrashAt {
			return ErrCrash
		}
		return nil
	}
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := count(); err != nil {
				return err
			}
			defer w.cache.written(o)
			return c.Create(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if err := count(); err != nil {
				return err
			}
			defer w.cache.written(o)
			return c.Delete(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if err := count(); err != nil {
				return err
			}
			defer w.cache.written(o)
			return c.Update(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := count(); err != nil {
				return err
			}
			defer w.cache.written(o)
			return c.Patch(ctx, o, p, opts...)
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			if err := count(); err != nil {
				return err
			}
			defer w.cache.written(o)
			return c.SubResource(sub).Update(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if err := count(); err != nil {
				return err
			}
			defer w.cache.written(o)
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}
}

// Objects are what the controllers would read now.
func (w *World) Objects() *snapshot.Objects {
	w.T.Helper()
	reader := &inventory.Reader{Client: w.Env.Manager, Liveness: w}
	o, err := reader.Read(w.T.Context(), w.Name)
	if err != nil {
		w.T.Fatal(err)
	}
	return o
}

// Fresh implements inventory.Liveness.
func (w *World) Fresh(string) bool { return !w.Silent }

// Recall implements inventory.Liveness: it remembers nothing.
func (w *World) Recall(n *v1alpha1.Node, _ map[string]bool) *v1alpha1.Node { return n }

// Await implements inventory.Liveness.
func (w *World) Await(context.Context, string, bool) error { return nil }

// Reporter implements inventory.Liveness.
func (w *World) Reporter(string) string { return "" }

// HighestView implements inventory.Liveness.
func (w *World) HighestView(string) uint64 { return 0 }

// Lag freezes what the controllers read, as it is when each thing is next read, or lets it go on.
func (w *World) Lag(on bool) {
	w.cache.lag = false
	w.cache.forget()
	w.cache.lag = on
}

// Pass runs every controller once, and returns the first error and how many writes were made.
func (w *World) Pass() (int64, error) {
	w.T.Helper()
	w.cache.forget() // the test, or a host, may have written
	before := w.Writes.Load()
	for _, r := range w.reconcilers {
		names := []string{w.Name}
		if _, ok := r.(*resource.Reconciler); ok {
			names = append(names, inventory.Orphans)
		}
		for _, name := range names {
			request := ctrl.Request{}
			request.Name = name
			if _, err := r.Reconcile(w.T.Context(), request); err != nil {
				return w.Writes.Load() - before, err
			}
		}
	}
	return w.Writes.Load() - before, nil
}

// Settle runs controllers and agents until nothing changes any more.
func (w *World) Settle() {
	w.T.Helper()
	if err := w.settle(); err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) settle() error {
	w.T.Helper()
	w.cache.forget() // the test may have written by itself
	for range 30 {
		writes, err := w.Pass()
		if err != nil {
			return err
		}
		acted := false
		groups := w.Groups()
		for _, h := range w.Hosts {
			acted = h.act(groups) || acted
		}
		if writes == 0 && !acted {
			return nil
		}
	}
	w.T.Fatal("controllers and agents do not come to rest")
	return nil
}

// SettleWithCrash is Settle with a manager that dies at its k-th write and is replaced. It reports whether it died.
func (w *World) SettleWithCrash(k int64) bool {
	w.T.Helper()
	w.NewManager()
	w.CrashAt = k
	err := w.settle()
	w.CrashAt = 0
	if err == nil {
		return false
	}
	if !errors.Is(err, ErrCrash) {
		w.T.Fatal(err)
	}
	w.NewManager()
	w.Settle()
	return true
}
