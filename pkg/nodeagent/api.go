package nodeagent

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/apiservers"
)

const (
	// probeInterval is how often the server is asked for a sign of life, and how long an answer may take.
	probeInterval = time.Second
	// probeHurry is both where the nodes decide themselves when it is gone: then it is found out within 1.5 s (J1).
	probeHurry = 500 * time.Millisecond
	// probeFailures in a row make the API server unreachable. Connections are dropped, and everything is listed anew afterwards, only when
	// as many at probeInterval would have failed: a server that is slow for a moment is not given more to do.
	probeFailures = 2
)

// api is the connection to the API server. It says whether the server is reached, keeps copies of all objects while it is, and
// starts both anew when it comes back.
type api struct {
	log    logr.Logger
	config *rest.Config
	client client.Client
	// servers are all that serve the API.
	servers *apiservers.Servers
	mapper  meta.RESTMapper
	scheme  *runtime.Scheme
	// touched is told of each object that has changed, reachable of each change of reach.
	touched   func(obj client.Object)
	reachable func(bool)
	// hurries says that probes are to come at probeHurry.
	hurries func() bool
	reached atomic.Bool

	mu      sync.Mutex
	objects cache.Cache // nil until the first list of everything is complete
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("building the scheme: %w", err)
		}
	}
	return scheme, nil
}

// newMapper knows the few kinds that the agent uses, so that it need not ask the server what it serves.
func newMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"Cluster", "Node", "QuorumConfig"} {
		m.Add(v1alpha1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	for _, kind := range []string{"ResourceGroup", "Resource"} {
		m.Add(v1alpha1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	m.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	m.Add(coordinationv1.SchemeGroupVersion.WithKind("Lease"), meta.RESTScopeNamespace)
	return m
}

// newAPI reads the kubeconfig; empty means the service account of a pod. servers are the URLs of further API servers. It does not
// connect.
func newAPI(kubeconfig string, servers []string, log logr.Logger) (*api, error) {
	all, err := apiservers.Load(kubeconfig, servers)
	if err != nil {
		return nil, err
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	config := all.Config()
	a := &api{log: log, config: config, servers: all, scheme: scheme, mapper: newMapper()}
	all.LogSwitches(log)
	config.QPS = -1 // what is written is bounded by what happens on the host
	config.UserAgent = "quorate-agent"
	if a.client, err = client.New(config, client.Options{Scheme: scheme, Mapper: a.mapper}); err != nil {
		return nil, fmt.Errorf("making the API client: %w", err)
	}
	return a, nil
}

// run probes the server until ctx ends.
func (a *api) run(ctx context.Context) {
	interval := a.interval()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	stop := func() {}
	defer func() { stop() }()
	failures, connected := 0, false
	for {
		if now := a.interval(); now != interval {
			interval = now
			ticker.Reset(now)
		}
		if err := a.ask(ctx, interval); err == nil {
			if failures = 0; !a.reached.Load() {
				a.log.Info("The API server is reached")
				if !connected {
					stop()
					stop, connected = a.connect(ctx), true
				}
				a.reached.Store(true)
				a.reachable(true)
			}
		} else {
			failures++
			if failures == probeFailures {
				a.log.Info("The API server is out of reach; everything keeps running", "reason", err.Error())
				a.reached.Store(false)
				a.reachable(false)
			}
			if connected && time.Duration(failures)*interval >= probeFailures*probeInterval {
				connected = false
				// A connection that hangs would keep a write or a watch for minutes.
				a.servers.CloseAll()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (a *api) interval() time.Duration {
	if a.hurries() {
		return probeHurry
	}
	return probeInterval
}

// ask probes the servers once, for no longer than limit.
func (a *api) ask(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return a.servers.Probe(ctx)
}

// connect lists and watches everything anew. A cache that has just been cut off would come back by itself, but only after its
// growing pauses.
func (a *api) connect(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for ctx.Err() == nil {
			if err := a.watch(ctx); err != nil && ctx.Err() == nil {
				a.log.Error(err, "Objects cannot be watched; trying again")
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}
	}()
	return cancel
}

func (a *api) watch(ctx context.Context) error {
	objects, err := cache.New(a.config, cache.Options{
		Scheme: a.scheme, Mapper: a.mapper, DefaultTransform: cache.TransformStripManagedFields(),
	})
	if err != nil {
		return fmt.Errorf("making the cache: %w", err)
	}
	err = objects.IndexField(ctx, &v1alpha1.Resource{}, resourceGroupIndex, func(o client.Object) []string {
		return []string{o.(*v1alpha1.Resource).Spec.GroupName}
	})
	if err != nil {
		return fmt.Errorf("indexing resources: %w", err)
	}
	failed := make(chan error, 1)
	go func() { failed <- objects.Start(ctx) }()
	for _, kind := range []client.Object{
		&v1alpha1.Cluster{}, &v1alpha1.Node{}, &v1alpha1.QuorumConfig{}, &v1alpha1.ResourceGroup{}, &v1alpha1.Resource{},
	} {
		informer, err := objects.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %T: %w", kind, err)
		}
		if _, err := informer.AddEventHandler(a.handler()); err != nil {
			return fmt.Errorf("watching %T: %w", kind, err)
		}
	}
	if !objects.WaitForCacheSync(ctx) {
		return fmt.Errorf("listing all objects: %w", ctx.Err())
	}
	a.mu.Lock()
	a.objects = objects
	a.mu.Unlock()
	a.touched(nil)
	return <-failed
}

func (a *api) handler() toolscache.ResourceEventHandler {
	touch := func(o any) {
		if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if obj, ok := o.(client.Object); ok {
			a.touched(obj)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: touch, DeleteFunc: touch,
		UpdateFunc: func(before, after any) {
			touch(after)
			if r, ok := before.(*v1alpha1.Resource); ok && r.Spec.GroupName != after.(*v1alpha1.Resource).Spec.GroupName {
				touch(before)
			}
		},
	}
}

// world returns what is known of the API; nil until everything was listed once.
func (a *api) world() *world {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.objects == nil {
		return nil
	}
	return &world{cached: a.objects, direct: a.client}
}
