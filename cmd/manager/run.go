package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/discovery"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers"
	"github.com/quorate/quorate/controllers/leadership"
	"github.com/quorate/quorate/pkg/apiservers"
	"github.com/quorate/quorate/pkg/nameservice"
)

// leaseName is the name of the Lease by which managers agree on a leader.
const leaseName = "quorate-manager"

// Options are the manager's flags.
type Options struct {
	Kubeconfig string
	// Servers are the URLs of API servers beside those that the kubeconfig names (pkg/apiservers).
	Servers        []string
	Node           string
	Namespace      string
	MetricsAddress string
	ProbeAddress   string
	LeaderElect    bool
	// DecisionsDir is where the inputs of decisions are kept, the latest DecisionsKeep of them; empty keeps none.
	DecisionsDir  string
	DecisionsKeep int
}

// Run runs the manager until ctx ends. A manager that has lost its leadership starts anew in place: controllers cannot be stopped for
// certain, a process can.
func Run(ctx context.Context, opts Options) error {
	log := ctrl.Log.WithName("manager")
	cfg, servers, err := restConfig(opts)
	if err != nil {
		return err
	}
	go servers.Run(ctx, log)
	if err := waitForAPI(ctx, cfg); err != nil {
		return err
	}
	leading, deposed := context.WithCancel(ctx)
	defer deposed()
	var anew atomic.Bool
	mgr, err := newManager(cfg, opts, func() {
		anew.Store(true)
		deposed()
	})
	if err != nil {
		return err
	}
	if err := controllers.Setup(ctx, mgr, opts.Namespace, keeper(ctx, opts)); err != nil {
		return err
	}
	err = mgr.Start(leading)
	if ctx.Err() != nil || !elected(mgr) && !anew.Load() {
		return err
	}
	log.Info("the lead was lost, or caches are stale after an outage: starting anew", "cause", fmt.Sprint(err))
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the manager's own program: %w", err)
	}
	return fmt.Errorf("starting %s anew: %w", self, syscall.Exec(self, os.Args, os.Environ()))
}

func elected(mgr manager.Manager) bool {
	select {
	case <-mgr.Elected():
		return true
	default:
		return false
	}
}

// restConfig is for clients of the API; servers are all that serve it.
func restConfig(opts Options) (*rest.Config, *apiservers.Servers, error) {
	servers, err := apiservers.Load(opts.Kubeconfig, opts.Servers)
	if err != nil {
		return nil, nil, fmt.Errorf("finding the API server and the manager's identity (flag --kubeconfig %q): %w", opts.Kubeconfig, err)
	}
	cfg := servers.Config()
	// A failover writes all groups of a node at once; the API server's own fairness bounds it.
	cfg.QPS = -1
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return newEvents(next) })
	return rest.AddUserAgent(cfg, "quorate-manager"), servers, nil
}

// waitForAPI waits until the API server answers: a manager that is started before it is no failure.
func waitForAPI(ctx context.Context, cfg *rest.Config) error {
	short := rest.CopyConfig(cfg)
	short.Timeout = 2 * time.Second
	server, err := discovery.NewDiscoveryClientForConfig(short)
	if err != nil {
		return fmt.Errorf("making a client of the API server: %w", err)
	}
	for told := false; ; told = true {
		_, err := server.ServerVersion()
		if err == nil {
			return nil
		}
		if !told {
			ctrl.Log.WithName("manager").Info("waiting for the API server", "host", cfg.Host, "cause", err.Error())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the API server at %s: %w", cfg.Host, err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// newScheme knows the kinds that a manager reads or writes: our own, Leases, the Events of what nodes decided by themselves, and the Services and
// EndpointSlices of names.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, coordinationv1.AddToScheme, eventsv1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering kinds: %w", err)
		}
	}
	return scheme, nil
}

// newManager makes the manager. deposed is called when another manager has taken the lead.
func newManager(cfg *rest.Config, opts Options, deposed func()) (ctrl.Manager, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	hosts := &leadership.Hosts{}
	lock, err := newLock(cfg, opts, hosts, deposed)
	if err != nil {
		return nil, err
	}
	shutdown := 3 * time.Second
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&coordinationv1.Lease{}: {Namespaces: map[string]cache.Config{opts.Namespace: {}}},
				// Of all the Services of a cluster only those that are made for names.
				&corev1.Service{}:            {Label: labels.SelectorFromSet(labels.Set{nameservice.ManagedByLabel: nameservice.ManagedBy})},
				&discoveryv1.EndpointSlice{}: {Label: labels.SelectorFromSet(labels.Set{nameservice.ManagedByLabel: nameservice.ManagedBy})},
			},
		},
		Metrics:                             metricsserver.Options{BindAddress: opts.MetricsAddress},
		HealthProbeBindAddress:              opts.ProbeAddress,
		LeaderElection:                      opts.LeaderElect,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       new(leadership.LeaseDuration),
		RenewDeadline:                       new(leadership.RenewDeadline),
		RetryPeriod:                         new(leadership.RetryPeriod),
		GracefulShutdownTimeout:             &shutdown,
		Controller:                          config.Controller{EnableWarmup: new(true), ReconciliationTimeout: time.Minute},
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	if err := watchHosts(mgr, hosts); err != nil {
		return nil, err
	}
	for _, add := range []func(string, healthz.Checker) error{mgr.AddHealthzCheck, mgr.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return nil, fmt.Errorf("adding health checks: %w", err)
		}
	}
	return mgr, nil
}

// newLock makes the lock by which managers agree on a leader.
func newLock(cfg *rest.Config, opts Options, hosts *leadership.Hosts, deposed func()) (resourcelock.Interface, error) {
	host := opts.Node
	if host == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("reading the host's name (or set --node): %w", err)
		}
		host = name
	}
	short := rest.CopyConfig(cfg)
	short.Timeout = leadership.RenewDeadline / 2
	leases, err := coordinationclient.NewForConfig(short)
	if err != nil {
		return nil, fmt.Errorf("making a client of Leases: %w", err)
	}
	inner := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: opts.Namespace, Name: leaseName},
		Client:     leases,
		LockConfig: resourcelock.ResourceLockConfig{Identity: identityOf(host)},
	}
	return leadership.NewLock(inner, hosts.Lost, deposed), nil
}

// watchHosts lets the lock see the cached Nodes as soon as they are complete.
func watchHosts(mgr ctrl.Manager, hosts *leadership.Hosts) error {
	synced := &atomic.Bool{}
	hosts.Reader, hosts.Synced = mgr.GetCache(), synced.Load
	return mgr.Add(afterCaches(func() { synced.Store(true) }))
}

// afterCaches is a runnable that the manager starts, leader or not, once its caches are complete.
type afterCaches func()

// Start implements manager.Runnable.
func (f afterCaches) Start(context.Context) error {
	f()
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (afterCaches) NeedLeaderElection() bool { return false }

// identityVariable carries the identity of a manager over its starting anew, with the process that it belongs to.
const identityVariable = "QUORATE_MANAGER_IDENTITY"

// identityOf is this process's identity in the election. A manager that starts anew in the same process (after an outage of the API
// server in which it could not renew) keeps it: what it held before it holds still, and nobody has to wait for its Lease to run out.
func identityOf(host string) string {
	mine := strconv.Itoa(os.Getpid()) + ":"
	if before, same := strings.CutPrefix(os.Getenv(identityVariable), mine); same {
		return before
	}
	identity := leadership.Identity(host, string(uuid.NewUUID()))
	if err := os.Setenv(identityVariable, mine+identity); err != nil {
		ctrl.Log.WithName("manager").Error(err, "starting anew will take another identity")
	}
	return identity
}
