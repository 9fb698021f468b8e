package cluster

import (
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

const (
	// grace is what a kill that is under way at a bound may take longer.
	grace = 100 * time.Millisecond
	// thawGrace is what a host that stood still past its deadline has to stop what it has (O14).
	thawGrace = 400 * time.Millisecond
)

// checker knows everything and checks the invariants of the design after every event; S3 and the rules of membership are checked by
// package sim.
type checker struct {
	c *Cluster
	// owners is who was given a group at an epoch, and who has started it there (S5).
	owners, starters map[string]model.Member
	// highest is the highest epoch at which anything of a group was started.
	highest map[string]model.Epoch
	// thawed is when a host last stood still past a deadline.
	late map[model.NodeID]time.Duration
	// samples and online make the availability.
	samples, online int
	sampled         time.Duration
}

func newChecker(c *Cluster) *checker {
	return &checker{
		c: c, owners: map[string]model.Member{}, starters: map[string]model.Member{}, highest: map[string]model.Epoch{},
		late: map[model.NodeID]time.Duration{},
	}
}

// event is called after every event of the world.
func (k *checker) event() {
	if k.c.dirty {
		k.c.dirty = false
		k.s1()
	}
	if k.c.Now()-k.sampled >= 100*time.Millisecond {
		k.sample()
		k.s4()
	}
}

// restored forgets what an API server that was set back cannot know.
func (k *checker) restored() {
	clear(k.owners)
	clear(k.starters)
	clear(k.highest)
}

// deadline is when all of a life must be gone from the host by its own rules, in its own clock.
func (n *node) deadline() time.Duration { return n.lease.StopBegins() + selfFence }

// excused says that the host stood still, or has only just gone on, with nothing to reset it: what it has may outlast its deadline,
// which is what the condition UnsafeFencing tells (O14).
func (k *checker) excused(n *node) bool {
	return !n.watchdog && n.now() > n.deadline() && (n.frozen || k.c.Now()-k.late[n.id] < thawGrace)
}

// s1 checks that nothing of a group serves or writes from two nodes.
func (k *checker) s1() {
	byResource := map[string][]*instance{}
	for _, n := range k.c.nodes {
		for uid, inst := range n.instances {
			byResource[uid] = append(byResource[uid], inst)
		}
	}
	for _, list := range byResource {
		if len(list) < 2 || shared(list[0]) {
			continue
		}
		var harmful []*instance
		for _, inst := range list {
			if k.harmful(inst) {
				harmful = append(harmful, inst)
			}
		}
		if len(harmful) > 1 {
			a, b := harmful[0], harmful[1]
			k.c.Fail("S1: %s is on node %d at epoch %d (since %v) and on node %d at epoch %d (since %v)", a.name, a.node.id, a.epoch, a.since,
				b.node.id, b.epoch, b.since)
		}
	}
}

// harmful says that two of the kind on two nodes would be a violation: a mount that can write, an address that answers, a process
// that nothing else protects.
func (k *checker) harmful(inst *instance) bool {
	n := inst.node
	switch inst.kind {
	case lifecycle.KindDisk:
		return !inst.shutDown && !n.frozen && inst.disk.mayWrite(n.id) && (inst.disk.enforced || !k.excused(n))
	case lifecycle.KindAddress:
		return n.serves(inst) && (n.guards || !k.excused(n))
	case lifecycle.KindProcess:
		return !inst.protected && !n.frozen && !k.excused(n)
	}
	return false
}

// s4 checks that nothing outlasts its lease by more than the self-fence timeout, and that nothing of an older life is left.
func (k *checker) s4() {
	for _, n := range k.c.nodes {
		if n.frozen {
			k.late[n.id] = k.c.Now()
		}
		if !n.up || n.frozen || k.c.Now()-k.late[n.id] < thawGrace {
			continue
		}
		for _, inst := range n.all() {
			switch {
			case inst.shutDown:
			case inst.life < n.lease.Generation:
				k.c.Fail("O3: node %d has %s of life %d in life %d", n.id, inst.name, inst.life, n.lease.Generation)
			case n.now() > n.deadline()+grace:
				k.c.Fail("S4: node %d still has %s of epoch %d %v after its lease", n.id, inst.name, inst.epoch, n.now()-n.lease.KeepingUntil)
			}
		}
	}
}

func epochKey(group string, e model.Epoch) string { return fmt.Sprintf("%s/%d", group, e) }

// began checks a start: S5 and S6.
func (k *checker) began(inst *instance) {
	self := model.Member{ID: inst.node.id, Generation: inst.life}
	at := epochKey(inst.group, inst.epoch)
	if other, ok := k.starters[at]; ok && other != self {
		k.c.Fail("S5: %s of epoch %d is started by %v after %v", inst.name, inst.epoch, self, other)
	}
	k.starters[at] = self
	if inst.epoch < k.highest[ofNode(inst)] {
		k.c.Fail("S5: node %d starts %s of epoch %d after epoch %d", self.ID, inst.name, inst.epoch, k.highest[ofNode(inst)])
	}
	k.highest[ofNode(inst)] = inst.epoch
	g := inst.node.agent.groups[inst.group]
	if g == nil {
		return
	}
	for _, r := range g.desired.Resources {
		if r.Kind == lifecycle.KindDisk && !k.holds(inst.node, r) {
			k.c.Fail("S6: node %d starts %s while %s is not reserved", inst.node.id, inst.name, r.Name)
		}
		if r.UID != inst.resource {
			continue
		}
		for _, d := range r.DependsOn {
			if !slices.ContainsFunc(inst.node.all(), func(i *instance) bool { return slices.Contains(d.AnyOf, i.name) && i.life == inst.life }) {
				k.c.Fail("S6: node %d starts %s without %v", inst.node.id, inst.name, d.AnyOf)
			}
			for _, i := range inst.node.all() {
				if slices.Contains(d.AnyOf, i.name) && i.kind != lifecycle.KindProcess {
					inst.protected = inst.protected || i.kind == lifecycle.KindAddress && inst.node.guards || i.kind == lifecycle.KindDisk && i.disk.enforced
				}
			}
		}
	}
}

// holds says that the node's record has the disk reserved: it may have lost it since, which it has to find out.
func (k *checker) holds(n *node, r lifecycle.Resource) bool { return n.disks[r.UID].epoch > 0 }

// stopping checks S6: what is taken offline in order is not needed by anything that is still there.
func (k *checker) stopping(inst *instance) {
	g := inst.node.agent.groups[inst.group]
	if g == nil {
		return
	}
	here := func(name string) bool {
		return name != inst.name && slices.ContainsFunc(inst.node.all(), func(i *instance) bool { return i.name == name && i.life == inst.life })
	}
	for _, r := range g.desired.Resources {
		for _, d := range r.DependsOn {
			if here(r.Name) && slices.Contains(d.AnyOf, inst.name) && !slices.ContainsFunc(d.AnyOf, here) {
				k.c.Fail("S6: node %d stops %s while %s uses it", inst.node.id, inst.name, r.Name)
			}
		}
	}
}

// ended checks S8: an outage, a restore or a crash of managers stops nothing.
func (k *checker) ended(inst *instance, why string) {
	if why == "offline" && inst.node.agent != nil {
		k.stopping(inst)
	}
	if k.c.opts.APIOnly {
		k.c.Fail("S8: %s on node %d ends (%s) although only the API has met faults", inst.name, inst.node.id, why)
	}
}

// landed checks S2: no write of an old owner after a new one has had the disk.
func (k *checker) landed(d *disk, w *diskWrite) {
	newest := d.newest
	if newest == nil || newest.node == w.inst.node || newest.since <= w.inst.since {
		return
	}
	if !d.enforced && (w.stuck || k.excused(w.inst.node)) {
		return // without reservations nothing stops what the target itself has held back
	}
	k.c.Fail("S2: write %d of node %d at epoch %d reaches %s, which node %d has had since %v at epoch %d", w.counter, w.inst.node.id,
		w.inst.epoch, d.device, newest.node.id, newest.since, newest.epoch)
}

// written checks what is written to the API: S5 and S7.
func (k *checker) written(before, after client.Object) {
	switch after := after.(type) {
	case *v1alpha1.ResourceGroup:
		old, _ := before.(*v1alpha1.ResourceGroup)
		if old == nil || old.UID != after.UID {
			return
		}
		k.membersWritten(old, after)
		k.assigned(snapshot.Assignment(old.Status.Assignment), snapshot.Assignment(after.Status.Assignment), after)
	case *v1alpha1.Resource:
		old, _ := before.(*v1alpha1.Resource)
		if old == nil || old.UID != after.UID {
			return
		}
		if after.Status.Epoch < old.Status.Epoch {
			k.c.Fail("S5: the status of %s falls from epoch %d to %d", after.Name, old.Status.Epoch, after.Status.Epoch)
		}
		k.entriesWritten(old, after)
	}
}

func (k *checker) assigned(old, now model.Assignment, g *v1alpha1.ResourceGroup) {
	if now.Epoch < old.Epoch {
		k.c.Fail("S5: the assignment of %s falls from epoch %d to %d", g.Name, old.Epoch, now.Epoch)
	}
	if now.Node == "" || now.Epoch == old.Epoch && now.Node == old.Node {
		return
	}
	k.c.Trace("api    %s to %s epoch %d view %v unproven %v (%s)", g.Name, now.Node, now.Epoch, now.View, now.Unproven, now.Reason)
	at, owner := epochKey(string(g.UID), now.Epoch), model.Member{ID: now.ID, Generation: now.Generation}
	if other, ok := k.owners[at]; ok && other != owner {
		k.c.Fail("S5: epoch %d of %s is given to %v after %v", now.Epoch, g.Name, owner, other)
	}
	k.owners[at] = owner
	k.possible(g, now.Node)
}

// possible is S7 for a node that is given a group. A manager may not have seen yet what an operator has only just changed.
func (k *checker) possible(g *v1alpha1.ResourceGroup, node string) {
	seen := k.c.Now()-k.c.edited[g.Name] > 4*time.Second
	if owners := snapshot.PossibleOwners(k.resources(g.Name)); seen && owners != nil && !slices.Contains(owners, node) {
		k.c.Fail("S7: %s is given to %s, which is not a possible owner", g.Name, node)
	}
}

func (k *checker) resources(group string) []*v1alpha1.Resource {
	var list []*v1alpha1.Resource
	for _, r := range k.c.api.refs() {
		if o, ok := k.c.api.objects[r].(*v1alpha1.Resource); ok && o.Spec.GroupName == group {
			list = append(list, o)
		}
	}
	return list
}

// serving returns the node on which all of a group runs and serves, or nil.
func (k *checker) serving(group string) *node {
	resources := k.resources(group)
	for _, n := range k.c.nodes {
		if !n.up || n.frozen {
			continue
		}
		if !slices.ContainsFunc(resources, func(r *v1alpha1.Resource) bool {
			inst := n.instances[string(r.UID)]
			return inst == nil || inst.shutDown || inst.failed || inst.kind == lifecycle.KindAddress && !n.serves(inst)
		}) {
			return n
		}
	}
	return nil
}

func (k *checker) sample() {
	k.sampled = k.c.Now()
	for _, name := range k.c.groups {
		if g := k.c.api.group(name); g == nil || g.Spec.DesiredState == v1alpha1.DesiredOffline || k.c.Now() < 3*time.Second {
			continue
		}
		k.samples++
		if k.serving(name) != nil {
			k.online++
		}
	}
}

// settled is L1 and S9: every group is online at its owner, as the API says too, and nothing is anywhere else. It returns what is
// missing; empty when all is well.
func (k *checker) settled() string {
	for _, name := range k.c.groups {
		g := k.c.api.group(name)
		if g == nil || g.DeletionTimestamp != nil {
			return name + " is being deleted"
		}
		if snapshot.Balanced(g) {
			if missing := k.settledEverywhere(g); missing != "" {
				return missing
			}
			continue
		}
		n, a := k.serving(name), snapshot.Assignment(g.Status.Assignment)
		switch {
		case n == nil:
			return fmt.Sprintf("%s is not online anywhere (assigned to %q at epoch %d, %s)", name, a.Node, a.Epoch, a.Reason)
		case a.Node != n.name:
			return fmt.Sprintf("%s is online on %s and assigned to %q", name, n.name, a.Node)
		case g.Status.State != v1alpha1.GroupOnline:
			return fmt.Sprintf("%s is online, and its status says %s", name, g.Status.State)
		}
		for _, r := range k.resources(name) {
			for _, other := range k.c.nodes {
				if other != n && other.instances[string(r.UID)] != nil {
					return fmt.Sprintf("%s is left on %s", r.Name, other.name)
				}
			}
		}
	}
	if missing := k.movesLeft(); missing != "" {
		return missing
	}
	for _, n := range k.c.nodes {
		for _, inst := range n.all() {
			if g := k.c.api.group(inst.of); g == nil || string(g.UID) != inst.group {
				return fmt.Sprintf("%s of a deleted group is left on %s", inst.name, n.name)
			}
		}
	}
	return ""
}
