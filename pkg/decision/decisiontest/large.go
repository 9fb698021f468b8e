// Package decisiontest has the API objects of large healthy clusters, for tests and measurements of whole rounds.
package decisiontest

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Now is the time at which the objects are as they are.
var Now = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

// Large returns the objects of a healthy cluster: every group of three resources is online, and every status is as the controller wrote
// it.
func Large(nodes, groups int) *snapshot.Objects {
	o := &snapshot.Objects{Name: "large", Fresh: true, Reporter: "node-01"}
	o.Cluster = &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "large", ResourceVersion: "1"}, Spec: v1alpha1.ClusterSpec{
		Networks:             []v1alpha1.ClusterNetwork{{Name: "lan", CIDRs: []string{"10.0.0.0/8"}, Role: v1alpha1.NetworkInternalAndClient}},
		AllowedResourceTypes: []v1alpha1.AllowedResourceTypes{{Name: "all", Namespaces: []string{"*"}, Types: []string{"*"}, MountRoots: []string{"/srv"}, Devices: []string{"/dev/disk/by-id/*"}}},
	}}
	o.Quorum = &v1alpha1.QuorumConfig{ObjectMeta: metav1.ObjectMeta{Name: "large", ResourceVersion: "1"}, Spec: v1alpha1.QuorumConfigSpec{ClusterName: "large"}}
	view := &v1alpha1.AgentView{ID: v1alpha1.ViewID{Number: 9, Coordinator: 1}, Quorate: true}
	for i := range nodes {
		view.Members = append(view.Members, v1alpha1.AgentViewMember{ID: int32(i + 1), Generation: 1, ReachesAPI: true})
		n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%02d", i+1), Generation: 1, ResourceVersion: "1"}, Spec: v1alpha1.NodeSpec{ClusterName: "large"}}
		n.Status.ID, n.Status.Generation, n.Status.Joins = int32(i+1), 1, 1
		n.Status.Agent = &v1alpha1.AgentStatus{Generation: 1, Guards: &v1alpha1.AgentGuards{Addresses: true}}
		o.Nodes = append(o.Nodes, n)
	}
	o.Nodes[0].Status.Agent.View = view
	for i := range groups {
		AddGroup(o, i, o.Nodes[i%nodes])
	}
	round := decision.NewRound(o, 0, Now)
	for i, g := range o.Groups {
		g.Status = *round.Status(g, i, round.Decision(snapshot.Key(g)))
	}
	return o
}

// AddGroup adds the i-th group, online on the node, as everyone reports it.
func AddGroup(o *snapshot.Objects, i int, n *v1alpha1.Node) {
	name := fmt.Sprintf("group-%05d", i)
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "demo", Name: name, UID: types.UID(name), Generation: 1, ResourceVersion: "1", Finalizers: []string{v1alpha1.OfflineFirstFinalizer}}
	}
	g := &v1alpha1.ResourceGroup{ObjectMeta: meta(name), Spec: v1alpha1.ResourceGroupSpec{ClusterName: "large", PreferredOwners: []string{n.Name}}}
	g.Status.Assignment = &v1alpha1.Assignment{Node: n.Name, NodeID: n.Status.ID, Generation: 1, Epoch: 5, ViewID: v1alpha1.ViewID{Number: 8, Coordinator: 1}}
	o.Groups = append(o.Groups, g)
	n.Status.Agent.Groups = append(n.Status.Agent.Groups, v1alpha1.AgentGroup{UID: name, Namespace: "demo", Name: name, Epoch: 5, Floor: 5, ProvenEpoch: 5, Generation: 1})
	add := func(suffix string, t v1alpha1.ResourceType, p v1alpha1.ResourceParameters, on ...string) {
		r := &v1alpha1.Resource{ObjectMeta: meta(name + suffix), Spec: v1alpha1.ResourceSpec{GroupName: name, Type: t, ResourceParameters: p}}
		for _, d := range on {
			r.Spec.DependsOn = append(r.Spec.DependsOn, v1alpha1.Dependency{Name: name + d})
		}
		r.Status.State, r.Status.Node, r.Status.Epoch = v1alpha1.ResourceOnline, n.Name, 5
		o.Resources = append(o.Resources, r)
	}
	add("-app", v1alpha1.TypeGenericApplication, v1alpha1.ResourceParameters{GenericApplication: &v1alpha1.GenericApplication{Command: []string{"/bin/app"}}}, "-disk", "-ip")
	add("-disk", v1alpha1.TypePhysicalDisk, v1alpha1.ResourceParameters{PhysicalDisk: &v1alpha1.PhysicalDisk{Device: "/dev/disk/by-id/" + name, FSType: "xfs", MountPath: "/srv/" + name}})
	add("-ip", v1alpha1.TypeIPAddress, v1alpha1.ResourceParameters{IPAddress: &v1alpha1.IPAddress{Network: "lan", Address: fmt.Sprintf("10.1.%d.%d/8", i/250, 1+i%250)}})
}

// Edit returns the objects with a change: like a cache, it shares what has not changed.
func Edit(o *snapshot.Objects, change func(*snapshot.Objects)) *snapshot.Objects {
	c := *o
	c.Nodes, c.Groups, c.Resources = slices.Clone(o.Nodes), slices.Clone(o.Groups), slices.Clone(o.Resources)
	change(&c)
	return &c
}

// Restarted is what a restart of the i-th group's application shows. version is the resource's new resourceVersion.
func Restarted(o *snapshot.Objects, i int, version string) {
	r := *o.Resources[3*i]
	r.Status.Restarts++
	r.ResourceVersion = version
	o.Resources[3*i] = &r
}
