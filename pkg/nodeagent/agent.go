package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/addressguard"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/powerfence"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/pkg/watchdog"
)

// Options are what an agent is started with.
type Options struct {
	// Node is the name of this host's Node, Cluster that of its Cluster.
	Node, Cluster string
	// Kubeconfig is a file; empty means the service account of the pod.
	Kubeconfig string
	// Servers are the URLs of API servers beside those that the kubeconfig names (pkg/apiservers).
	Servers []string
	// StateDir outlives reboots (/var/lib/quorate), RunDir does not (/run/quorate).
	StateDir, RunDir string
	// CgroupRoot is where the control groups of resources are made, on a cgroup2 file system.
	CgroupRoot string
	// MetricsAddress is a loopback address and port; empty or "0": no metrics.
	MetricsAddress string
	// SysRqTrigger is where a reset of this host is ordered, /proc/sysrq-trigger; empty: the host never resets itself.
	SysRqTrigger string
	// ContainerdSocket is where the host's containerd listens; empty: container.DefaultSocket.
	ContainerdSocket string
	Version          string
	Log              logr.Logger
}

// agent is the wiring of one host.
type agent struct {
	opts   Options
	log    logr.Logger
	pid    int
	bootID string
	files  *files
	lease  *lease
	core   *core
	guard  addressguard.Guard
	guards *guards
	// scheduling says how the host treats the agent's threads and memory.
	scheduling  *v1alpha1.AgentScheduling
	types       *resourcetype.Registry
	monitor     groupMonitor
	enrolment   *enrolment
	keeper      *keeper
	publisher   *publisher
	surveyor    *surveyor
	reach       *reachWatch
	reporter    *reporter
	journal     *journal
	links       *links
	powerFencer *powerFencer
	clearer     *clearer
	vault       *vault
	stuck       *stuckWatch
	problems    *problems
	api         *api
	wall        time.Time
	noted       chan struct{}
}

// Run runs the agent until ctx ends. It then returns without stopping anything: the next agent takes over what runs, and the
// guardian stops it if none comes before the lease ends.
func Run(ctx context.Context, opts Options) error {
	if opts.MetricsAddress == "0" {
		opts.MetricsAddress = ""
	}
	if opts.MetricsAddress != "" {
		if err := checkMetricsAddress(opts.MetricsAddress); err != nil {
			return err
		}
	}
	a := &agent{opts: opts, log: opts.Log, pid: os.Getpid(), noted: make(chan struct{}, 1)}
	a.scheduling = favourProcess(opts.Log)
	now := runstate.BootTime
	a.wall = time.Now().Add(-now())
	lock, err := a.open(now)
	if err != nil {
		return err
	}
	defer lock.Close()
	a.wire(now)
	if pending := a.journal.open(); pending {
		a.core.pending = &pending
	}
	if err := a.powerFencer.load(); err != nil {
		a.log.Error(err, "What was fenced before is forgotten")
	}
	// Heartbeats first: a node that was killed has less than T to be heard again.
	if settings := a.enrolment.current(); settings != nil {
		if err := a.core.start(settings, a.burnt, seedOf(&v1alpha1.Node{}, nil)); err != nil {
			return fmt.Errorf("starting membership: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var loops sync.WaitGroup
	loops.Go(func() { a.core.run(ctx) })
	err = a.serve(ctx, now, &loops)
	cancel()
	loops.Wait()
	if a.monitor != nil {
		a.monitor.Close()
	}
	return errors.Join(err, a.lease.close())
}

// open takes the host's one place for an agent, and reads what an earlier one has left.
func (a *agent) open(now func() time.Duration) (*os.File, error) {
	var err error
	if a.files, err = openFiles(a.opts.StateDir, a.opts.RunDir); err != nil {
		return nil, err
	}
	if a.bootID, err = runstate.BootID(); err != nil {
		return nil, err
	}
	lock, err := a.files.lock()
	if err != nil {
		return nil, err
	}
	settings, err := a.files.loadSettings()
	if err == nil && settings != nil && (settings.NodeName != a.opts.Node || settings.Cluster != a.opts.Cluster) {
		err = fmt.Errorf("the state directory %s is that of node %s of cluster %s, but the agent was started for node %s of cluster %s",
			a.opts.StateDir, settings.NodeName, settings.Cluster, a.opts.Node, a.opts.Cluster)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	// The guardian makes its lock, then reads whom to kill: so this process is in the lease before the lock is looked for (O11).
	if a.lease, err = openLease(a.opts.RunDir, a.bootID, now, a.log); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	a.enrolment = &enrolment{log: a.log.WithName("enrolment"), now: now, files: a.files, settings: settings}
	return lock, nil
}

// wire makes the parts that need no I/O.
func (a *agent) wire(now func() time.Duration) {
	a.problems = newProblems(a.note)
	a.guards = &guards{changed: a.note}
	a.core = newCore(a.files, a.bootID, a.lease, now, a.log, a.membershipChanged)
	a.publisher = &publisher{
		log: a.log.WithName("publisher"), nodeName: a.opts.Node, world: a.shown, reached: a.reached, observe: a.observe, wall: a.wall,
	}
	a.publisher.init()
	a.stuck = &stuckWatch{
		problems: a.problems, reset: Stuck(watchdog.Host{Trigger: a.opts.SysRqTrigger}, a.log), resets: a.opts.SysRqTrigger != "", wall: a.wall,
	}
	a.keeper = &keeper{
		log: a.log.WithName("keeper"), now: now, nodeName: a.opts.Node, cluster: a.opts.Cluster, core: a.core, lease: a.lease,
		enrolment: a.enrolment, world: a.shown, problems: a.problems, burnt: a.burnt,
		unlock: func() error { return runstate.RemoveLock(a.opts.RunDir) }, published: a.note, renewed: a.publisher.drop,
		stuck: a.stuck.reset,
		wake:  make(chan struct{}, 1), lost: make(chan struct{}, 1), dirty: map[client.ObjectKey]bool{}, known: map[string]applied{},
		waiting: map[client.ObjectKey]bool{}, specs: map[string]int64{},
	}
	a.publisher.applied = a.keeper.appliedTo
	a.journal = a.newJournal()
	a.links = &links{log: a.log.WithName("mesh"), standing: a.core.standing, orders: a.journal.gate.now, receive: a.journal.receive}
	a.journal.send = a.links.send
	a.keeper.orders, a.keeper.said = &a.journal.gate, a.journal.said.Load
	a.powerFencer = &powerFencer{
		log: a.log.WithName("fencer"), nodeName: a.opts.Node, cluster: a.opts.Cluster, standing: a.core.standing, world: a.world,
		power: powerfence.New(), path: a.files.fencingPath(), problems: a.problems, changed: func() { a.note(); a.keeper.wakeUp() }, now: time.Now, wake: make(chan struct{}, 1), recheck: make(chan struct{}, 1),
	}
	a.keeper.proofs = a.powerFencer.proofs
	a.clearer = &clearer{
		log: a.log.WithName("disks"), nodeName: a.opts.Node, cluster: a.opts.Cluster, standing: a.core.standing, world: a.shown, reached: a.reached,
		changed: a.note, now: time.Now, wake: make(chan struct{}, 1), done: map[string]v1alpha1.AgentClearing{},
	}
	a.reach = &reachWatch{
		log: a.log.WithName("reach"), now: now, standing: a.core.standing, settings: a.enrolment.current, world: a.shown,
		reached: a.reached, changed: a.note, wall: a.wall,
	}
	a.reporter = &reporter{
		log: a.log.WithName("reporter"), nodeName: a.opts.Node, cluster: a.opts.Cluster, standing: a.core.standing,
		reached: a.reached, orders: &a.journal.gate,
	}
}

// serve makes the rest and runs it all until ctx ends.
func (a *agent) serve(ctx context.Context, now func() time.Duration, loops *sync.WaitGroup) error {
	store, err := runstate.Open(a.opts.RunDir, a.opts.StateDir)
	if err != nil {
		return err
	}
	defer func() {
		if err := store.Close(); err != nil {
			a.log.Error(err, "Closing the run state")
		}
	}()
	if err := a.furnish(ctx, now, store); err != nil {
		return err
	}
	for _, loop := range []func(context.Context){
		func(ctx context.Context) { a.lease.addresses(ctx, a.guard, a.renewalStep) },
		func(ctx context.Context) { favourAgent(ctx, a.scheduling.Priority, a.log) },
		a.copier(store).run, a.journal.run, a.links.run,
		(&clientWatch{log: a.log, settings: a.enrolment.current, tell: a.core.setServes}).run,
		a.keeper.run, a.publisher.run, a.reporter.run, a.surveyor.run, a.reach.run, a.api.run, a.noteLocally, a.watchHeartbeats, a.serveSocket,
		a.keeper.fencer, a.powerFencer.run, a.clearer.run, a.vault.run,
		(&guardianKeeper{
			log: a.log, runDir: a.opts.RunDir, cgroupRoot: a.opts.CgroupRoot, sysRqTrigger: a.opts.SysRqTrigger,
			containerd: a.opts.ContainerdSocket, settings: a.enrolment.current, problems: a.problems, guards: a.guards,
		}).run,
	} {
		loops.Go(func() { loop(ctx) })
	}
	if a.opts.MetricsAddress != "" {
		loops.Go(func() { a.serveMetrics(ctx, a.opts.MetricsAddress) })
	}
	<-ctx.Done()
	a.log.Info("The agent ends; everything keeps running")
	return nil
}

// copier makes the copy of the cluster's state for the witness.
func (a *agent) copier(store *runstate.Store) *copier {
	c := &copier{
		log: a.log.WithName("copier"), cluster: a.opts.Cluster, world: a.world, standing: a.core.standing, setState: a.core.setState,
		raise: store.RaiseFloor, loaded: a.journal.loaded, kept: a.journal.kept, wake: make(chan struct{}, 1),
	}
	a.journal.keep = c.keep
	a.core.witness.copier.Store(c)
	return c
}

// furnish makes the parts that take a moment.
func (a *agent) furnish(ctx context.Context, now func() time.Duration, store *runstate.Store) error {
	var noGuard error
	a.guard, noGuard = Guard(ctx, now, a.log)
	a.guards.set(func(g *v1alpha1.AgentGuards) { g.Addresses = noGuard == nil })
	if noGuard != nil {
		a.problems.one(v1alpha1.ProblemNoAddressGuard, "", "other nodes wait longer for this host's addresses: "+noGuard.Error())
	}
	a.types = Types(a.guard, a.opts.ContainerdSocket)
	a.clearer.types = a.types
	if err := a.startNames(ctx); err != nil {
		return err
	}
	options := monitor.Options{
		Types: a.types, Hosts: monitorHosts(a.opts.RunDir, a.opts.CgroupRoot, a.opts.ContainerdSocket, a.log.WithName("monitor")), Store: store, Now: now, MayAct: a.keeper.mayAct, Variables: a.vault.variables, Isolated: a.reach.isolated, OnChange: a.reported, NodeName: a.opts.Node,
		Cluster: a.opts.Cluster, BootID: a.bootID, CgroupRoot: a.opts.CgroupRoot, RunDir: a.opts.RunDir, Log: a.log.WithName("monitor"),
	}
	if s := a.enrolment.current(); s != nil {
		options.Node, options.ClusterID = s.Self, s.ClusterID
	}
	m, err := monitor.New(options)
	if err != nil {
		return fmt.Errorf("starting the monitor: %w", err)
	}
	a.monitor, a.keeper.monitor, a.journal.raise = m, m, store.RaiseFloor
	if a.api, err = newAPI(a.opts.Kubeconfig, a.opts.Servers, a.log.WithName("api")); err != nil {
		return err
	}
	a.journal.direct = a.api.client
	a.api.touched = func(obj client.Object) {
		a.journal.touched()
		a.keeper.touch(obj)
		a.powerFencer.wakeUp()
		a.clearer.touched(obj)
		a.surveyor.touched(obj)
		if obj == nil {
			a.publisher.everything()
			return
		}
		a.publisher.seen(obj)
	}
	a.api.reachable = func(reached bool) {
		if err := a.core.setReachesAPI(ctx, reached); err == nil && reached {
			a.keeper.touch(nil)
			a.publisher.everything()
		}
	}
	a.api.hurries = func() bool { s := a.enrolment.current(); return s != nil && s.Autonomy }
	a.publisher.writer, a.reporter.writer = a.api.client, a.api.client
	a.surveyor = &surveyor{
		log: a.log.WithName("surveyor"), types: a.types, cluster: a.opts.Cluster, world: a.world, settings: a.enrolment.current,
		problems: a.problems, changed: a.note,
		wake: make(chan struct{}, 1),
	}
	return nil
}

// watchHeartbeats tells of datagrams that are dropped, which is no change of membership.
func (a *agent) watchHeartbeats(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		a.problems.set("heartbeats", standingProblems(a.core.standing(), runstate.BootTime()))
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// shown is what the API server shows, also while it is out of reach; nil before it was ever reached.
func (a *agent) shown() *world { return a.api.world() }

// world is what the cluster goes by: the journal's copy while this node goes by one.
func (a *agent) world() *world {
	if o := a.journal.gate.now(); o.pending && o.journal != nil {
		return o.journal
	}
	return a.shown()
}

func (a *agent) reached() bool { return a.api.reached.Load() }

// burnt says whether the guardian has begun to stop what belongs to the generation (rule O11). A lock that cannot be read counts.
func (a *agent) burnt(generation model.Generation) bool {
	lock, err := runstate.ReadLock(a.opts.RunDir)
	if err != nil {
		a.log.Error(err, "The guardian's lock cannot be read; nothing is adopted")
		return true
	}
	return lock.Burns(generation)
}

// renewalStep is how far the end of a lease must move for the kernel to be told.
func (a *agent) renewalStep() time.Duration {
	if s := a.core.standing().Settings; s != nil {
		return s.Interval / 4
	}
	return 0
}

// membershipChanged runs on core's loop: it only wakes others, the reporter's status first.
func (a *agent) membershipChanged() {
	a.journal.wakeUp()
	a.keeper.wakeUp()
	a.publisher.kick()
	a.powerFencer.wakeUp()
	a.note()
}

// reported takes a report of the monitor.
func (a *agent) reported(r monitor.GroupReport) {
	a.publisher.observed(r)
	a.stuck.observe(&r)
	if r.Gone || r.Running == 0 {
		a.keeper.wakeUp() // it may be the last: the guardian need not watch any more
	}
	a.note()
}

// note has the local status written, and status.agent if it has changed.
func (a *agent) note() {
	a.publisher.kick()
	a.journal.changedHere()
	select {
	case a.noted <- struct{}{}:
	default:
	}
}

func sortReports(reports []monitor.GroupReport) {
	slices.SortFunc(reports, func(x, y monitor.GroupReport) int { return strings.Compare(x.Group.String(), y.Group.String()) })
}

// observe gathers what statuses are made of.
func (a *agent) observe() *observed {
	o := &observed{
		version: a.opts.Version, bootID: a.bootID, standing: a.core.standing(), guards: a.guards.get(), scheduling: a.scheduling, reports: a.publisher.groupReports(),
		problems: a.problems.list(), wall: a.wall,
	}
	o.orders = a.journal.gate.now()
	sortReports(o.reports)
	o.interfaces, o.disks, o.images = a.surveyor.seen()
	o.interfaces = a.reach.annotate(o.interfaces)
	o.canFence, o.fencings, o.confirmations = a.powerFencer.report()
	o.clearings = a.clearer.report()
	return o
}
