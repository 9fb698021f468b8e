package validation

import (
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// scope is what the rules read: the objects and a few indexes over them.
type scope struct {
	*snapshot.Objects
	groups    map[model.GroupKey]*v1alpha1.ResourceGroup
	resources map[model.GroupKey][]*v1alpha1.Resource // by group
	networks  map[string]*v1alpha1.ClusterNetwork
	nodes     map[string]bool
}

// rules in the order in which their findings count: the first one is what a condition shows.
var rules = []func(*scope) []Finding{
	unknownCluster,      // the Cluster is not there
	missingGroup,        // a resource without its group
	unsupported,         // types whose behaviour is not there yet
	notShareable,        // what one node has at a time, in a group that is on many
	notAllowed,          // what the Cluster does not list may not run on its hosts
	missingDependencies, // a dependency that is not in the group
	dependencyCycles,    // resources that wait for each other
	groupCycles,         // groups that wait for each other
	noCommonOwner,       // resources that cannot run on one node together
	unknownNetworks,     // a network that the Cluster does not have, or has not for clients
	addressesOutside,    // an address that its network cannot carry
	addressesTwice,      // one address, two users
	namesTwice,          // one name, two users
	disksTwice,          // one disk, two groups
	witnessOfAGroup,     // a witness that a group uses
	witnessTwice,        // one witness, two clusters
	neverQuorate,        // votes that are never a majority
	missingProviders,    // a name without an address, a share without a disk
	containers,          // a container's disks that are not there, or not before it
	unknownTimeZones,    // a failback window nobody can compute
	withoutEffect,       // settings that the mode has no use for: a warning
	neverFits,           // more than any node has: a warning
	unknownNames,        // names of nodes and groups that are not there: a warning
}

// Check applies every rule to the objects of one cluster.
func Check(o *snapshot.Objects) *Findings {
	s := newScope(o)
	findings := &Findings{groups: map[model.GroupKey][]Finding{}, resources: map[model.GroupKey][]Finding{}}
	for _, rule := range rules {
		findings.add(rule(s))
	}
	findings.sort()
	return findings
}

// CheckQuorum applies the rules that can find something wrong with the QuorumConfig.
func CheckQuorum(o *snapshot.Objects) []Finding {
	s := newScope(o)
	found := append(neverQuorate(s), append(witnessTwice(s), witnessOfAGroup(s)...)...)
	return slices.DeleteFunc(found, func(f Finding) bool { return f.Kind != KindQuorum })
}

func newScope(o *snapshot.Objects) *scope {
	s := &scope{
		Objects:   o,
		groups:    make(map[model.GroupKey]*v1alpha1.ResourceGroup, len(o.Groups)),
		resources: o.ResourcesByGroup(),
		networks:  map[string]*v1alpha1.ClusterNetwork{},
		nodes:     make(map[string]bool, len(o.Nodes)),
	}
	for _, g := range o.Groups {
		s.groups[snapshot.Key(g)] = g
	}
	for _, n := range o.Nodes {
		s.nodes[n.Name] = true
	}
	if o.Cluster != nil {
		for i := range o.Cluster.Spec.Networks {
			s.networks[o.Cluster.Spec.Networks[i].Name] = &o.Cluster.Spec.Networks[i]
		}
	}
	return s
}

func (s *scope) eachResource(check func(*v1alpha1.Resource) (Finding, bool)) []Finding {
	var found []Finding
	for _, r := range s.Resources {
		if f, bad := check(r); bad {
			found = append(found, f)
		}
	}
	return found
}
