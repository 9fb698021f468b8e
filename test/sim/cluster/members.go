package cluster

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// balancedGroup is the name of the cluster's group of mode LoadBalanced.
const balancedGroup = "everywhere"

// makeBalanced makes a group that runs on every node: two processes, one on the other.
func (c *Cluster) makeBalanced() {
	c.groups = append(c.groups, balancedGroup)
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: balancedGroup}}
	g.Spec = v1alpha1.ResourceGroupSpec{ClusterName: clusterName, Mode: v1alpha1.GroupModeLoadBalanced}
	c.create(g)
	c.specs[balancedGroup] = g.Spec.DeepCopy()
	process := v1alpha1.ResourceParameters{GenericApplication: &v1alpha1.GenericApplication{Command: []string{"/bin/app"}}}
	base := c.makeResource(balancedGroup, "base", v1alpha1.TypeGenericApplication, process)
	c.makeResource(balancedGroup, "app", v1alpha1.TypeGenericApplication, process, base)
}

// shared says that the instance is of a group that may be on many nodes: S1 says nothing of it.
func shared(inst *instance) bool { return inst.of == balancedGroup }

// ofNode is the key under which the epochs of a group are compared: those of different members are not.
func ofNode(inst *instance) string {
	if shared(inst) {
		return fmt.Sprintf("%s on %d", inst.group, inst.node.id)
	}
	return inst.group
}

// membersWritten checks what is written of a balanced group: epochs never fall on a node and are never used twice (S5), and nodes that
// are given the group are possible owners (S7).
func (k *checker) membersWritten(old, now *v1alpha1.ResourceGroup) {
	for _, m := range snapshot.Members(now) {
		before := model.GroupMember{}
		for _, o := range snapshot.Members(old) {
			if o.Node == m.Node {
				before = o
			}
		}
		if before.Epoch == m.Epoch {
			continue
		}
		if m.Epoch < before.Epoch {
			k.c.Fail("S5: the member %s of %s falls from epoch %d to %d", m.Node, now.Name, before.Epoch, m.Epoch)
		}
		k.c.Trace("api    %s on %s epoch %d view %v withdrawn %t (%s)", now.Name, m.Node, m.Epoch, m.View, m.Withdrawn, m.Reason)
		at, owner := epochKey(string(now.UID), m.Epoch), model.Member{ID: m.ID, Generation: m.Generation}
		if other, ok := k.owners[at]; ok && other != owner {
			k.c.Fail("S5: epoch %d of %s is given to %v after %v", m.Epoch, now.Name, owner, other)
		}
		k.owners[at] = owner
		if !m.Withdrawn {
			k.possible(now, m.Node)
		}
	}
}

// entriesWritten checks S5 for what agents say of a resource that they have at once.
func (k *checker) entriesWritten(old, now *v1alpha1.Resource) {
	for _, m := range now.Status.Members {
		if before := snapshot.OnNode(old, m.Node); before != nil && m.Epoch < before.Epoch {
			k.c.Fail("S5: the status of %s on %s falls from epoch %d to %d", now.Name, m.Node, before.Epoch, m.Epoch)
		}
	}
}

// settledEverywhere is L1 and S9 for a balanced group: it is online on every node that may have it, as the API says too, and on no other.
// A node in quarantine keeps it, and is not given it anew (A43).
func (k *checker) settledEverywhere(g *v1alpha1.ResourceGroup) string {
	resources := k.resources(g.Name)
	possible := snapshot.PossibleOwners(resources)
	var want, has []string
	for _, m := range snapshot.Members(g) {
		if m.Withdrawn {
			return fmt.Sprintf("%s is still withdrawn from %s at epoch %d (%s)", g.Name, m.Node, m.Epoch, m.Reason)
		}
		has = append(has, m.Node)
	}
	for _, n := range k.c.nodes {
		object, _ := k.c.api.objects[ref{"Node", n.name}].(*v1alpha1.Node)
		quarantined := object != nil && object.Status.Quarantine != nil && object.Status.Quarantine.Until != nil
		if (possible == nil || slices.Contains(possible, n.name)) && (!quarantined || slices.Contains(has, n.name)) {
			want = append(want, n.name)
		}
	}
	slices.Sort(want)
	slices.Sort(has)
	if !slices.Equal(want, has) {
		return fmt.Sprintf("%s is given to [%s], and may be on [%s]", g.Name, strings.Join(has, " "), strings.Join(want, " "))
	}
	for _, n := range k.c.nodes {
		for _, r := range resources {
			inst := n.instances[string(r.UID)]
			switch wanted := slices.Contains(want, n.name); {
			case wanted && (inst == nil || inst.failed):
				return fmt.Sprintf("%s is not online on %s", r.Name, n.name)
			case !wanted && inst != nil:
				return fmt.Sprintf("%s is left on %s", r.Name, n.name)
			}
		}
	}
	if all := fmt.Sprintf("%d/%[1]d", len(want)); g.Status.State != v1alpha1.GroupOnline || g.Status.MembersOnline != all {
		return fmt.Sprintf("%s is online on %s, and its status says %s %s", g.Name, all, g.Status.State, g.Status.MembersOnline)
	}
	return ""
}

// writeEntry writes what this node says of a resource that several have at once, into its own entry.
func (p *publisher) writeEntry(a *agent, g *group, r *lifecycle.ResourceReport, object *v1alpha1.Resource) {
	n := a.node
	before := v1alpha1.ResourceMember{}
	if shown := snapshot.OnNode(object, n.name); shown != nil {
		before = *shown
	}
	last, wrote := p.entries[r.UID]
	epoch := int64(g.report.Running)
	if epoch == 0 {
		epoch = before.Epoch
	}
	if epoch == 0 || epoch < before.Epoch {
		return
	}
	entry := v1alpha1.ResourceMember{Node: n.name, Epoch: epoch, State: v1alpha1.ResourceState(r.State), Reason: string(r.Reason), Message: r.Message}
	if wrote && last == entry && before.Epoch > 0 {
		return
	}
	p.entries[r.UID] = entry
	change(n.c.api, ref{"Resource", r.Name}, func(o *v1alpha1.Resource) {
		i := slices.IndexFunc(o.Status.Members, func(m v1alpha1.ResourceMember) bool { return m.Node == n.name })
		switch {
		case i < 0:
			o.Status.Members = append(o.Status.Members, entry)
		case entry.Epoch >= o.Status.Members[i].Epoch: // the API's own rule refuses any other
			o.Status.Members[i] = entry
		}
	})
}
