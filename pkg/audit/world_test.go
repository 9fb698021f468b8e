package audit

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/snapshot"
)

const clusterID = "5a5a5a0123456789"

// world is a healthy cluster of three nodes with one group on node a, which a test changes. Each look is of copies.
type world struct {
	t       *testing.T
	now     time.Time
	auditor *Auditor
	found   []Finding

	cluster   v1alpha1.Cluster
	quorum    v1alpha1.QuorumConfig
	nodes     []*v1alpha1.Node
	groups    []*v1alpha1.ResourceGroup
	resources []*v1alpha1.Resource
	hosts     map[string]*Host
	disks     map[string]*reservation.Status
	answers   map[string][]string
	apiGone   bool
}

func key(t *testing.T, node model.NodeID, epoch model.Epoch) reservation.Key {
	t.Helper()
	number, err := reservation.ClusterNumber(clusterID)
	if err != nil {
		t.Fatal(err)
	}
	k, err := reservation.NewKey(number, node, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), auditor: New(Options{}),
		hosts: map[string]*Host{}, disks: map[string]*reservation.Status{}, answers: map[string][]string{},
	}
	w.cluster = v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	w.cluster.Status.ClusterID, w.cluster.Status.Quorate = clusterID, true
	w.cluster.Spec.Networks = []v1alpha1.ClusterNetwork{{Name: "lan", CIDRs: []string{"10.0.0.0/24"}, Role: v1alpha1.NetworkInternalAndClient}}
	w.cluster.Spec.AllowedResourceTypes = []v1alpha1.AllowedResourceTypes{{
		Name: "all", Namespaces: []string{"*"}, Types: []string{"*"}, MountRoots: []string{"/srv/quorate"}, Devices: []string{"/array/*"},
	}}
	w.quorum = v1alpha1.QuorumConfig{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	w.quorum.Spec.Witness = &v1alpha1.Witness{Disk: &v1alpha1.DiskWitness{Device: "/array/witness"}}
	w.disks["/array/witness"] = &reservation.Status{Enforced: true, Keys: []reservation.Key{key(t, 1, 900), key(t, 2, 800)}, Holder: key(t, 1, 900), Type: 5}
	for i, name := range []string{"a", "b", "c"} {
		n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
		n.Status = v1alpha1.NodeStatus{ID: int32(i + 1), Generation: 1, Joins: 1, Agent: &v1alpha1.AgentStatus{Generation: 1, NodeID: int32(i + 1)}}
		w.nodes = append(w.nodes, n)
		w.hosts[name] = &Host{
			Node: name, Lease: &Lease{Left: time.Second, SelfFence: time.Second, Acting: true, View: "5/1", Members: []string{"a", "b", "c"}},
			Addresses: []Address{{IP: fmt.Sprintf("10.0.0.%d", i+1), Interface: "lan0", MAC: "02:00:00:00:00:0" + fmt.Sprint(i+1)}},
		}
	}
	w.publish("a", 5, 1, 2, 3)
	w.addGroup("shop", "/array/1", "/srv/quorate/shop", "10.0.0.101")
	w.place("shop", "a", 7)
	return w
}

func (w *world) node(name string) *v1alpha1.Node {
	for _, n := range w.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// publish makes the node the reporter of a view.
func (w *world) publish(node string, number int64, members ...int32) {
	v := &v1alpha1.AgentView{ID: v1alpha1.ViewID{Number: number, Coordinator: members[0]}, Quorate: true}
	for _, id := range members {
		v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: id, Generation: w.nodes[id-1].Status.Agent.Generation, ReachesAPI: true})
	}
	w.node(node).Status.Agent.View = v
}

func (w *world) addGroup(name, disk, mount, ip string) {
	w.groups = append(w.groups, &v1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, UID: types.UID("group-" + name)},
		Spec:       v1alpha1.ResourceGroupSpec{ClusterName: "demo"},
	})
	add := func(suffix string, kind v1alpha1.ResourceType, p v1alpha1.ResourceParameters, needs ...string) {
		r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name + suffix, UID: types.UID("uid" + name + suffix)}}
		r.Spec = v1alpha1.ResourceSpec{GroupName: name, Type: kind, ResourceParameters: p}
		for _, n := range needs {
			r.Spec.DependsOn = append(r.Spec.DependsOn, v1alpha1.Dependency{Name: name + n})
		}
		w.resources = append(w.resources, r)
	}
	add("-disk", v1alpha1.TypeLoopbackDisk, v1alpha1.ResourceParameters{LoopbackDisk: &v1alpha1.LoopbackDisk{File: disk, MountPath: mount}})
	add("-ip", v1alpha1.TypeIPAddress, v1alpha1.ResourceParameters{IPAddress: &v1alpha1.IPAddress{Network: "lan", Address: ip + "/24"}})
	add("-web", v1alpha1.TypeGenericApplication, v1alpha1.ResourceParameters{GenericApplication: &v1alpha1.GenericApplication{
		Command: []string{"/bin/web", name},
	}}, "-disk", "-ip")
}

func (w *world) group(name string) *v1alpha1.ResourceGroup {
	for _, g := range w.groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

func (w *world) of(group string) []*v1alpha1.Resource {
	var all []*v1alpha1.Resource
	for _, r := range w.resources {
		if r.Spec.GroupName == group {
			all = append(all, r)
		}
	}
	return all
}

// assign gives the group to the node; an empty one withdraws it. Nothing runs yet.
func (w *world) assign(group, node string, epoch int64, unproven ...string) {
	a := &v1alpha1.Assignment{Epoch: epoch, Node: node, Reason: "Test"}
	if node != "" {
		a.NodeID, a.Generation = w.node(node).Status.ID, w.node(node).Status.Agent.Generation
	}
	for _, name := range unproven {
		a.Unproven = append(a.Unproven, v1alpha1.UnprovenOwner{Node: name, NodeID: w.node(name).Status.ID, Generation: 1, Epoch: epoch - 1})
	}
	w.group(group).Status.Assignment = a
}

// place has the group assigned to and online on the node, everywhere that it shows.
func (w *world) place(group, node string, epoch int64) {
	w.assign(group, node, epoch)
	g := w.group(group)
	w.node(node).Status.Agent.Groups = append(w.node(node).Status.Agent.Groups, v1alpha1.AgentGroup{
		UID: string(g.UID), Namespace: "demo", Name: group, Epoch: epoch, Generation: w.node(node).Status.Agent.Generation,
	})
	for _, r := range w.of(group) {
		r.Status.State, r.Status.Node, r.Status.Epoch = v1alpha1.ResourceOnline, node, epoch
		w.run(node, r)
		if name := snapshot.Disk(r); name != "" {
			k := key(w.t, model.NodeID(w.node(node).Status.ID), model.Epoch(epoch))
			w.disks[name] = &reservation.Status{Enforced: true, PTPL: true, Keys: []reservation.Key{k}, Holder: k, Type: 5}
		}
		if ip := AddressOf(&r.Spec); ip != "" {
			w.answers[ip] = []string{w.hosts[node].Addresses[0].MAC}
		}
	}
}

// run puts what the resource is on the host.
func (w *world) run(node string, r *v1alpha1.Resource) {
	h := w.hosts[node]
	if path := MountPath(&r.Spec); path != "" {
		h.Mounts = append(h.Mounts, Mount{Path: path, Source: "/dev/loop1", Backing: snapshot.Disk(r)})
	}
	if ip := AddressOf(&r.Spec); ip != "" {
		h.Addresses = append(h.Addresses, Address{IP: ip, Interface: "lan0", MAC: h.Addresses[0].MAC})
	}
	if app := r.Spec.GenericApplication; app != nil {
		h.Processes = append(h.Processes, Process{PID: 100, Name: "web", Command: CommandHash(app.Command), Resource: string(r.UID)})
	}
	h.Records = append(h.Records, Record{
		UID: string(r.UID), Namespace: "demo", Name: r.Name, Live: true, MountPath: MountPath(&r.Spec), Address: AddressOf(&r.Spec),
	})
}

// clear takes everything off the host.
func (w *world) clear(node string) {
	h := w.hosts[node]
	h.Mounts, h.Processes, h.Records, h.Addresses = nil, nil, nil, h.Addresses[:1]
	w.node(node).Status.Agent.Groups = nil
}

// look takes a look now.
func (w *world) look() {
	l := &Look{Began: w.now, Ended: w.now}
	if !w.apiGone {
		o := &snapshot.Objects{Name: "demo", Cluster: w.cluster.DeepCopy(), Quorum: w.quorum.DeepCopy(), Fresh: true}
		for _, n := range w.nodes {
			o.Nodes = append(o.Nodes, n.DeepCopy())
		}
		for _, g := range w.groups {
			o.Groups = append(o.Groups, g.DeepCopy())
		}
		for _, r := range w.resources {
			o.Resources = append(o.Resources, r.DeepCopy())
		}
		o.Sort()
		l.Objects = o
	}
	for _, name := range []string{"a", "b", "c"} {
		if h := w.hosts[name]; h != nil {
			one := *h
			one.At = w.now
			l.Hosts = append(l.Hosts, one)
		}
	}
	for name, st := range w.disks {
		l.Disks = append(l.Disks, Disk{Device: name, At: w.now, From: "c", Status: *st})
	}
	for ip, macs := range w.answers {
		l.Answers = append(l.Answers, Answer{IP: ip, At: w.now, From: "client", MACs: macs})
	}
	w.found = append(w.found, w.auditor.Look(l)...)
}

// pass looks twice a second for a while.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(500 * time.Millisecond) {
		w.look()
	}
}
