package auditor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/audit/collect"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/lab/protocol"
	"github.com/quorate/quorate/test/observe"
)

// Options of an audit beside a lab.
type Options struct {
	// Cluster is the Cluster's name; "demo" if empty.
	Cluster string
	// Interval between looks; 500 ms if zero.
	Interval time.Duration
	// Tell is called with each finding as soon as it is certain; nil tells nobody.
	Tell func(audit.Finding)
}

// Beside is an audit that runs beside whatever else is done with a lab.
type Beside struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	auditor *audit.Auditor
}

// Where hosts of the lab have what the audit reads.
const (
	runDir     = "/run/quorate"
	cgroupRoot = "/sys/fs/cgroup/quorate"
)

// Start begins to audit a lab. Stop it for the verdict.
func Start(ctx context.Context, l *lab.Lab, o Options) (*Beside, error) {
	if o.Cluster == "" {
		o.Cluster = "demo"
	}
	if o.Interval == 0 {
		o.Interval = 500 * time.Millisecond
	}
	api, err := observe.New(l.Kubeconfig(), "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	b := &Beside{cancel: cancel, done: make(chan struct{}), auditor: audit.New(audit.Options{})}
	collectors := &collect.Collectors{
		API:   &collect.API{Client: api, Cluster: o.Cluster},
		Hosts: func(ctx context.Context) ([]audit.Host, []audit.Unseen) { return hosts(ctx, l) },
		Disks: func(ctx context.Context, _ *snapshot.Objects) ([]audit.Disk, []audit.Unseen) { return disks(ctx, l) },
		Addresses: func(ctx context.Context, o *snapshot.Objects) ([]audit.Answer, []audit.Unseen) {
			return answers(ctx, l, o)
		},
	}
	go func() {
		defer close(b.done)
		b.run(ctx, collectors, o)
	}()
	return b, nil
}

func (b *Beside) run(ctx context.Context, c *collect.Collectors, o Options) {
	ticker := time.NewTicker(o.Interval)
	defer ticker.Stop()
	for {
		look := c.Take(ctx)
		if ctx.Err() != nil {
			return // it was cut short
		}
		b.mu.Lock()
		fresh := b.auditor.Look(look)
		b.mu.Unlock()
		for _, f := range fresh {
			if o.Tell != nil {
				o.Tell(f)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Verdict is the result so far.
func (b *Beside) Verdict() *audit.Verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.auditor.Verdict()
}

// Stop ends the audit and returns its verdict.
func (b *Beside) Stop() *audit.Verdict {
	b.cancel()
	<-b.done
	return b.Verdict()
}

// hosts looks at every host that has power.
func hosts(ctx context.Context, l *lab.Lab) ([]audit.Host, []audit.Unseen) {
	status, err := l.Status(ctx)
	if err != nil {
		return nil, []audit.Unseen{{Source: audit.SourceHosts, Message: err.Error()}}
	}
	var all []audit.Host
	var unseen []audit.Unseen
	for _, h := range status.Hosts {
		if len(h.Paths) == 0 || h.State == protocol.HostDown {
			continue // the client and the API server have no groups, and a dead host has nothing
		}
		facts, err := host(ctx, l, h.Name)
		if err != nil {
			// Its power was cut meanwhile, mostly.
			unseen = append(unseen, audit.Unseen{Source: audit.SourceHosts, Object: h.Name, Message: err.Error()})
			continue
		}
		facts.Halted = h.State == protocol.HostFrozen
		all = append(all, facts)
	}
	return all, unseen
}

func host(ctx context.Context, l *lab.Lab, name string) (audit.Host, error) {
	pid, err := l.PID(name)
	if err != nil {
		return audit.Host{}, err
	}
	return collect.Host(ctx, collect.HostOptions{Node: name, PID: pid, RunDir: runDir, CgroupRoot: cgroupRoot})
}

// disks is the array's own word, which no failing path keeps back.
func disks(ctx context.Context, l *lab.Lab) ([]audit.Disk, []audit.Unseen) {
	status, err := l.Status(ctx)
	if err != nil {
		return nil, []audit.Unseen{{Source: audit.SourceDisks, Message: err.Error()}}
	}
	var all []audit.Disk
	for _, d := range status.Disks {
		holder, err := reservation.ParseKey(d.Reservation.Holder)
		if err != nil {
			return all, []audit.Unseen{{Source: audit.SourceDisks, Object: d.File, Message: fmt.Sprintf("holder: %v", err)}}
		}
		found := audit.Disk{Device: d.File, At: time.Now(), From: "the array", Status: reservation.Status{
			Enforced: d.Reservation.Enforced, PTPL: d.Reservation.PersistThroughPowerLoss, Generation: d.Reservation.Generation,
			Holder: holder, Type: reservation.Type(d.Reservation.Type),
		}}
		for _, k := range d.Reservation.Keys {
			found.Status.Keys = append(found.Status.Keys, reservation.Key(k))
		}
		all = append(all, found)
	}
	return all, nil
}

// answers asks from the client host.
func answers(ctx context.Context, l *lab.Lab, o *snapshot.Objects) ([]audit.Answer, []audit.Unseen) {
	pid, err := l.PID(lab.Client)
	if err != nil {
		return nil, []audit.Unseen{{Source: audit.SourceAddresses, Object: lab.Client, Message: err.Error()}}
	}
	return (&collect.Addresses{From: lab.Client, PID: pid}).Ask(ctx, o)
}
