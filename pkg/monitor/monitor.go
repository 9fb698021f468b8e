package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

// Monitor runs the groups of this node. Its methods may be called concurrently. Locks are taken in the order group, Monitor.
type Monitor struct {
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	groups map[string]*group
	facts  lifecycle.Facts
	closed bool
	// changed is closed and made anew with each report, for StopAll to wait on.
	changed chan struct{}
}

// New returns a monitor that runs nothing yet: call Adopt and CleanUp before the first Apply.
func New(opts Options) (*Monitor, error) {
	if opts.Now == nil {
		opts.Now = runstate.BootTime
	}
	if opts.MayAct == nil {
		return nil, errors.New("monitor: without MayAct nothing may be started (O8)")
	}
	if opts.Types == nil || opts.Store == nil {
		return nil, errors.New("monitor: Types and Store are needed")
	}
	if opts.BootID == "" {
		id, err := runstate.BootID()
		if err != nil {
			return nil, err
		}
		opts.BootID = id
	}
	if opts.RunDir == "" {
		opts.RunDir = opts.Store.RunDir()
	}
	m := &Monitor{opts: opts, groups: map[string]*group{}, changed: make(chan struct{})}
	m.facts.Self = model.Member{ID: opts.Node, Generation: opts.Generation}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m, nil
}

// SetIdentity changes who this node is: its id and the cluster's once it is enrolled, its generation after it lost quorum. It fails
// while anything runs, because what runs is of the old generation (rule O3).
func (m *Monitor) SetIdentity(node model.NodeID, generation model.Generation, clusterID string) error {
	m.mu.Lock()
	same := m.opts.Node == node && m.opts.Generation == generation && m.opts.ClusterID == clusterID
	m.mu.Unlock()
	if same {
		return nil
	}
	for _, g := range m.all() {
		if !g.down() {
			return fmt.Errorf("group %s still runs in generation %d: it must be stopped first", g.id, m.identity().Generation)
		}
	}
	for _, g := range m.all() {
		m.drop(g)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opts.Node, m.opts.Generation, m.opts.ClusterID = node, generation, clusterID
	m.facts.Self = model.Member{ID: node, Generation: generation}
	return nil
}

func (m *Monitor) identity() Options {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opts
}

// Apply takes over an assignment, or a changed spec of one. A *lifecycle.RefusedError says why it is not obeyed.
func (m *Monitor) Apply(d GroupDesired) error {
	if d.Group.UID == "" {
		return fmt.Errorf("group %s: no uid", d.Group)
	}
	g, err := m.group(d.Group)
	if err != nil {
		return err
	}
	return g.apply(d)
}

// Forget stops a group whose object is gone, and drops it when nothing is left of it; the last report says Gone.
func (m *Monitor) Forget(groupUID string) {
	m.mu.Lock()
	g := m.groups[groupUID]
	m.mu.Unlock()
	if g != nil {
		g.forget()
	}
}

// ViewInstalled tells of a view in which this node acts; At is when it was installed.
func (m *Monitor) ViewInstalled(view lifecycle.View) {
	m.mu.Lock()
	m.facts.Views = m.facts.Views.Install(view)
	m.mu.Unlock()
	m.spreadFacts()
}

// ViewLost tells that this node no longer acts in any view: waits for proof start again (rule O4).
func (m *Monitor) ViewLost() {
	m.mu.Lock()
	m.facts.Views = m.facts.Views.Lose()
	m.mu.Unlock()
	m.spreadFacts()
}

// SetFencing tells how other nodes are made harmless.
func (m *Monitor) SetFencing(f lifecycle.Fencing) {
	m.mu.Lock()
	same := reflect.DeepEqual(m.facts.Fencing, f)
	m.facts.Fencing = f
	m.mu.Unlock()
	if !same {
		m.spreadFacts()
	}
}

func (m *Monitor) spreadFacts() {
	for _, g := range m.all() {
		g.refresh()
	}
}

// Reports returns the last report of each group, in order of namespace and name.
func (m *Monitor) Reports() []GroupReport {
	groups := m.all()
	reports := make([]GroupReport, 0, len(groups))
	for _, g := range groups {
		reports = append(reports, g.lastReport())
	}
	return reports
}

// Active reports whether anything runs or may run here: the guardian is told.
func (m *Monitor) Active() bool {
	return slices.ContainsFunc(m.all(), func(g *group) bool { return !g.down() })
}

// StopAll stops everything because quorum is lost (see lifecycle.BurnBy). It returns when all is gone, or at the deadline (a time since boot), or when ctx ends, with what is left;
// what is left is killed again and again. Nothing of this generation starts again: see SetIdentity.
func (m *Monitor) StopAll(ctx context.Context, deadline time.Duration) []Leftover {
	now := m.opts.Now()
	left := max(0, deadline-now)
	burn := lifecycle.BurnBy(now, deadline)
	var wait sync.WaitGroup
	for _, g := range m.all() {
		wait.Go(func() { g.burn(burn) })
	}
	wait.Wait()
	timer := time.NewTimer(left)
	defer timer.Stop()
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if !m.Active() {
			break
		}
		select {
		case <-changed:
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		break
	}
	var leftovers []Leftover
	for _, g := range m.all() {
		leftovers = append(leftovers, g.leftovers()...)
	}
	return leftovers
}

// Close ends the monitor and leaves everything running, as it is in the run state: the next agent adopts it.
func (m *Monitor) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	for _, g := range m.all() {
		g.close()
	}
	done := make(chan struct{})
	go func() { m.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Second): // a call that hangs is left behind; the process is about to end
	}
	if m.opts.Hosts != nil {
		m.opts.Hosts.Close()
	}
}

// group returns the group, made if need be.
func (m *Monitor) group(id resourcetype.Identity) (*group, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("the monitor is closed")
	}
	g := m.groups[id.UID]
	if g == nil {
		g = newGroup(m, id, lifecycle.New(m.opts.Store.Floor(id.UID)))
		m.groups[id.UID] = g
	}
	return g, nil
}

func (m *Monitor) all() []*group {
	m.mu.Lock()
	defer m.mu.Unlock()
	groups := make([]*group, 0, len(m.groups))
	for _, g := range m.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(strings.Compare(a.id.Namespace, b.id.Namespace), strings.Compare(a.id.Name, b.id.Name), strings.Compare(a.id.UID, b.id.UID))
	})
	return groups
}

// drop removes a group that is down, with its record.
func (m *Monitor) drop(g *group) {
	g.close()
	if err := m.opts.Store.DeleteGroup(g.id.UID); err != nil {
		m.opts.Log.Error(err, "removing the record of a group", "group", g.id.String())
	}
	m.mu.Lock()
	delete(m.groups, g.id.UID)
	m.mu.Unlock()
}

func (m *Monitor) currentFacts() lifecycle.Facts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts
}

func (m *Monitor) announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}
