package pacemaker

import (
	"slices"
	"strconv"
	"strings"
)

// unit is what becomes one ResourceGroup: resources that always run together.
type unit struct {
	name      string
	resources []*resource
	clone     bool
	scores    scores
	classes   []string
	dependsOn []string
	// needs are, by primitive, the primitives of the unit that it depends on.
	needs map[string][]string
	anyOf map[string][][]string
}

// primitives are all primitives of the unit, in their order.
func (u *unit) primitives() []*primitive {
	var all []*primitive
	for _, r := range u.resources {
		all = append(all, r.primitives...)
	}
	return all
}

func (u *unit) main() *resource { return u.resources[0] }

// divide makes the units: one a resource, and one of all that colocations of INFINITY tie together.
func (im *importer) divide(pairs []pair) {
	home := map[*resource]*unit{}
	for _, r := range im.c.resources {
		if im.hasNoGroup(r) {
			continue
		}
		u := &unit{name: r.id, resources: []*resource{r}, clone: r.kind == kindClone, needs: map[string][]string{}, anyOf: map[string][][]string{}}
		home[r] = u
		im.units = append(im.units, u)
	}
	for _, p := range pairs {
		if p.score <= 0 {
			continue
		}
		a, b := home[im.c.find(p.a)], home[im.c.find(p.b)]
		switch {
		case a == nil || b == nil || a == b:
		case p.score < infinity:
			im.report.add(NotImported, p.at, "put both into one ResourceGroup if they belong together, or give both the same preferredOwners",
				"a wish (%d) that %s run where %s runs: groups are held together entirely or not at all", p.score, p.a, p.b)
		case a.clone || b.clone:
			im.report.add(Changed, p.at, "nothing, if the clone runs on all nodes; else give "+p.a+" the possibleOwners of the clone's group",
				"%s runs where an instance of a clone (%s) runs: a ResourceGroup of mode LoadBalanced is not tied to others", p.a, p.b)
		default:
			im.report.add(Note, p.at, "", "%s and %s became one ResourceGroup: if one of them cannot run, both go elsewhere", p.a, p.b)
			b.resources = append(b.resources, a.resources...)
			for _, r := range a.resources {
				home[r] = b
			}
			im.units = slices.DeleteFunc(im.units, func(u *unit) bool { return u == a })
		}
	}
	im.home = home
}

// hasNoGroup reports resources that become no group, and fencing devices, which become something else.
func (im *importer) hasNoGroup(r *resource) bool {
	switch {
	case r.kind == kindBundle:
		im.report.add(NotImported, r.at, "run the container with its own supervisor until resources of type Container are supported",
			"bundle %s is a container with its own address and replicas", r.id)
	case r.promotable:
		im.report.add(NotImported, r.at, "for replicated data (DRBD, a database's own replication) keep what promotes it; for shared data use a PhysicalDisk in a group",
			"clone %s has instances with roles (promotable): Quorate's groups have none", r.id)
	case r.kind == kindClone && slices.ContainsFunc(r.primitives, watchesNodes):
		im.report.add(NotImported, r.at, "nothing, if it only watches what the agents watch themselves: networks, disks, peers",
			"clone %s (%s) sets attributes of nodes for rules to look at: Quorate has no such attributes", r.id, r.primitives[0].spec())
	case r.primitives[0].class == "stonith":
		return true
	case r.kind == kindClone && r.number("clone-max") == 1:
		return false
	case r.kind == kindClone && truth(r.meta.value("globally-unique"), false):
		im.report.add(NotImported, r.at, "make one ResourceGroup for each instance", "the instances of clone %s differ from each other (globally-unique)", r.id)
	case r.kind == kindClone && r.number("clone-node-max") > 1:
		im.report.add(NotImported, r.at, "make one ResourceGroup for each instance", "clone %s runs several instances on one node", r.id)
	case slices.ContainsFunc(r.primitives, func(p *primitive) bool { return p.agent == "remote" && p.provider == "pacemaker" }):
		im.report.add(NotImported, r.at, "run an agent on the host and make it a Node of its own, or leave it out", "%s is a remote node", r.id)
	default:
		return false
	}
	return true
}

// watchesNodes says that the agent serves nobody: it sets attributes of its node, or tells of the cluster.
func watchesNodes(p *primitive) bool {
	return p.provider == "pacemaker" && slices.Contains([]string{"ping", "pingd", "SysInfo", "HealthCPU", "HealthIOWait", "HealthSMART", "ClusterMon", "ifspeed", "attribute"}, p.agent)
}

func (r *resource) number(name string) int {
	n, err := strconv.Atoi(strings.TrimSpace(r.meta.value(name)))
	if err != nil {
		return 0
	}
	return n
}

// unit returns the unit of a resource that a constraint names, or nil. What is not there is reported; what was reported itself is not.
func (im *importer) unit(e *element, ref string) *unit {
	r := im.c.find(ref)
	if r == nil {
		im.report.add(NotImported, e, "mend or drop the constraint", "speaks of %q, which is no resource", ref)
		return nil
	}
	return im.home[r]
}

func itoa(n int) string { return strconv.Itoa(n) }
