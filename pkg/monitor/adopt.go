package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

// Adopt takes over what an earlier agent of this boot and generation has left: what is online goes on, what was pending is finished
// or begun again. It returns the groups that it has adopted. What it does not adopt is left to CleanUp.
func (m *Monitor) Adopt() ([]resourcetype.Identity, error) {
	opts := m.identity()
	lock, err := runstate.ReadLock(opts.Store.RunDir())
	if err != nil {
		return nil, err
	}
	if lock.Burns(opts.Generation) {
		return nil, nil // the guardian has begun to stop it (O11)
	}
	records := map[string]map[string]*runstate.Resource{}
	resources, _ := opts.Store.Resources()
	for _, r := range resources {
		if m.mine(r.BootID, uint64(r.Generation)) {
			if records[r.Group.UID] == nil {
				records[r.Group.UID] = map[string]*runstate.Resource{}
			}
			records[r.Group.UID][r.Resource.UID] = r
		}
	}
	groups, _ := opts.Store.Groups()
	var adopted []resourcetype.Identity
	var restored []*group
	for _, record := range groups {
		if !m.mine(record.BootID, uint64(record.Generation)) {
			continue
		}
		g, err := m.restore(record, records[record.Group.UID])
		if err != nil {
			m.opts.Log.Error(err, "a group is not adopted", "group", record.Group.String())
			continue
		}
		adopted = append(adopted, g.id)
		restored = append(restored, g)
	}
	// Only now, when all are in their place, does anything move.
	for _, g := range restored {
		g.refresh()
	}
	return adopted, nil
}

func (m *Monitor) mine(bootID string, generation uint64) bool {
	opts := m.identity()
	return bootID == opts.BootID && generation == uint64(opts.Generation)
}

func (m *Monitor) restore(record *runstate.Group, records map[string]*runstate.Resource) (*group, error) {
	desired := GroupDesired{Group: record.Group}
	if len(record.Desired) > 0 {
		if err := json.Unmarshal(record.Desired, &desired); err != nil {
			return nil, fmt.Errorf("reading the assignment in its record: %w", err)
		}
	}
	saved := map[string]lifecycle.SavedResource{}
	for uid, r := range records {
		saved[uid] = r.Machine
	}
	group := record.Machine
	group.Floor = max(group.Floor, m.opts.Store.Floor(record.Group.UID))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.groups[record.Group.UID] != nil {
		return nil, fmt.Errorf("group %s was applied before it was adopted", record.Group)
	}
	g := newGroup(m, record.Group, lifecycle.Restore(group, saved))
	g.desired, g.raw = desired, record.Desired
	for uid, r := range records {
		g.resources[uid] = &resource{record: *r, written: true}
	}
	m.groups[record.Group.UID] = g
	return g, nil
}

// cleanUpOrder is how long clean-up keeps the order of resources when some of them cannot be stopped.
const cleanUpOrder = 2 * time.Second

// CleanUp terminates all that is recorded on this host and was not adopted: it belongs to an older generation or boot, or to a
// group whose record is gone. It tries until ctx ends, and returns what is left, and records that cannot be read.
func (m *Monitor) CleanUp(ctx context.Context) []Leftover {
	opts := m.identity()
	// The records are read first: what adopted groups start in the meantime is not among them, or is theirs.
	records, damage := opts.Store.Resources()
	kept, groupDamage := opts.Store.Groups()
	groups := map[string]bool{}
	for _, g := range m.all() {
		groups[g.id.UID] = true
	}
	var orphans []*runstate.Resource
	for _, r := range records {
		if !groups[r.Group.UID] || !m.mine(r.BootID, uint64(r.Generation)) {
			orphans = append(orphans, r)
		}
	}
	reaper := Reaper{
		Types: opts.Types, Store: opts.Store, CgroupRoot: opts.CgroupRoot, RunDir: opts.RunDir, Ordered: cleanUpOrder, Log: opts.Log,
	}
	left := reaper.Reap(ctx, orphans)
	for _, g := range kept {
		if groups[g.Group.UID] {
			continue
		}
		if err := opts.Store.DeleteGroup(g.Group.UID); err != nil {
			left = append(left, Leftover{Group: g.Group, Message: err.Error()})
		}
	}
	for _, d := range append(damage, groupDamage...) {
		left = append(left, Leftover{Message: "a record of the run state cannot be read: " + d.Error(), Unreadable: true})
	}
	return left
}
