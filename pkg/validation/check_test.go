package validation

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

var made = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "demo", Name: name, CreationTimestamp: metav1.Time{Time: made}}
}

func disk(name, group, file string) *v1alpha1.Resource {
	return &v1alpha1.Resource{ObjectMeta: meta(name), Spec: v1alpha1.ResourceSpec{GroupName: group, Type: v1alpha1.TypeLoopbackDisk,
		ResourceParameters: v1alpha1.ResourceParameters{LoopbackDisk: &v1alpha1.LoopbackDisk{File: file, MountPath: "/srv/quorate/" + group}}}}
}

func address(name, group, addr string) *v1alpha1.Resource {
	return &v1alpha1.Resource{ObjectMeta: meta(name), Spec: v1alpha1.ResourceSpec{GroupName: group, Type: v1alpha1.TypeIPAddress,
		ResourceParameters: v1alpha1.ResourceParameters{IPAddress: &v1alpha1.IPAddress{Network: "lan", Address: addr}}}}
}

func app(name, group string, on ...string) *v1alpha1.Resource {
	r := &v1alpha1.Resource{ObjectMeta: meta(name), Spec: v1alpha1.ResourceSpec{GroupName: group, Type: v1alpha1.TypeGenericApplication,
		ResourceParameters: v1alpha1.ResourceParameters{GenericApplication: &v1alpha1.GenericApplication{Command: []string{"/bin/app"}}}}}
	for _, d := range on {
		r.Spec.DependsOn = append(r.Spec.DependsOn, v1alpha1.Dependency{Name: d})
	}
	return r
}

func group(name string) *v1alpha1.ResourceGroup {
	return &v1alpha1.ResourceGroup{ObjectMeta: meta(name), Spec: v1alpha1.ResourceGroupSpec{ClusterName: "demo"}}
}

func good() *snapshot.Objects {
	return &snapshot.Objects{
		Name: "demo",
		Cluster: &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, Spec: v1alpha1.ClusterSpec{
			Networks: []v1alpha1.ClusterNetwork{
				{Name: "hb", Role: v1alpha1.NetworkInternal, CIDRs: []string{"10.77.1.0/24"}},
				{Name: "lan", Role: v1alpha1.NetworkInternalAndClient, CIDRs: []string{"10.77.2.0/24", "fd77:2::/64"}},
			},
			AllowedResourceTypes: []v1alpha1.AllowedResourceTypes{{
				Name: "demo", Namespaces: []string{"demo"}, Types: []string{"*"}, MountRoots: []string{"/srv/quorate"}, Devices: []string{"/array/*"},
			}},
		}},
		Nodes: []*v1alpha1.Node{
			{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha1.NodeSpec{ClusterName: "demo", Addresses: []v1alpha1.NodeAddress{{Network: "lan", Address: "10.77.2.11"}}}},
			{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}},
		},
		Groups: []*v1alpha1.ResourceGroup{group("shop"), group("news")},
		Resources: []*v1alpha1.Resource{
			disk("shop-disk", "shop", "/array/disk-1.img"), address("shop-ip", "shop", "10.77.2.101/24"), app("shop-app", "shop", "shop-disk", "shop-ip"),
			disk("news-disk", "news", "/array/disk-2.img"), address("news-ip", "news", "fd77:2::102/64"), app("news-app", "news", "news-disk"),
		},
	}
}

// balance makes news a group of mode LoadBalanced with some of its resources, which depend on nothing.
func balance(o *snapshot.Objects, keep ...string) {
	o.Groups[1].Spec.Mode = v1alpha1.GroupModeLoadBalanced
	o.Resources = slices.DeleteFunc(o.Resources, func(r *v1alpha1.Resource) bool {
		r.Spec.DependsOn = slices.DeleteFunc(r.Spec.DependsOn, func(v1alpha1.Dependency) bool { return r.Spec.GroupName == "news" })
		return r.Spec.GroupName == "news" && !slices.Contains(keep, r.Name)
	})
}

func TestCheck(t *testing.T) {
	younger := metav1.Time{Time: made.Add(time.Hour)}
	cases := map[string]struct {
		spoil func(*snapshot.Objects)
		want  []string // one line per finding: parts of its text
	}{
		"balanced":                  {spoil: func(o *snapshot.Objects) { balance(o, "news-app") }},
		"balanced, with a disk":     {spoil: func(o *snapshot.Objects) { balance(o, "news-disk", "news-app") }, want: []string{"Resource demo/news-disk: spec.type: LoopbackDisk cannot be in group news, which has mode LoadBalanced"}},
		"balanced, with an address": {spoil: func(o *snapshot.Objects) { balance(o, "news-ip", "news-app") }, want: []string{"Resource demo/news-ip: spec.type: IPAddress cannot be in group news"}},
		"balanced, with preferences": {spoil: func(o *snapshot.Objects) {
			balance(o, "news-app")
			o.Groups[1].Spec.PreferredOwners, o.Groups[1].Spec.Failback.Policy = []string{"a"}, v1alpha1.FailbackImmediate
		}, want: []string{"ResourceGroup demo/news: spec.failback.policy: has no effect", "ResourceGroup demo/news: spec.preferredOwners: has no effect"}},
		"nothing wrong":            {spoil: func(*snapshot.Objects) {}},
		"unknown cluster":          {spoil: func(o *snapshot.Objects) { o.Cluster = nil }, want: []string{"ResourceGroup demo/shop: spec.clusterName: there is no Cluster \"demo\"", "ResourceGroup demo/news"}},
		"no such group":            {spoil: func(o *snapshot.Objects) { o.Resources[2].Spec.GroupName = "gone" }, want: []string{"Resource demo/shop-app: spec.groupName: there is no ResourceGroup \"gone\"", "Resource demo/shop-app: spec.dependsOn[0].name"}},
		"type of a later version":  {spoil: func(o *snapshot.Objects) { o.Resources[2].Spec.Type = v1alpha1.TypeFileShare }, want: []string{"Resource demo/shop-app: spec.type: this version does not run resources of type FileShare"}},
		"namespace not allowed":    {spoil: func(o *snapshot.Objects) { o.Cluster.Spec.AllowedResourceTypes[0].Namespaces = []string{"other"} }, want: []string{"shop-disk: spec.type", "shop-ip: spec.type", "shop-app: spec.type", "news-disk: spec.type", "news-ip: spec.type", "news-app: spec.type"}},
		"device not allowed":       {spoil: func(o *snapshot.Objects) { o.Resources[0].Spec.LoopbackDisk.File = "/dev/sda" }, want: []string{"shop-disk: spec.loopbackDisk.file: /dev/sda is none of the devices"}},
		"device hidden by dots":    {spoil: func(o *snapshot.Objects) { o.Resources[0].Spec.LoopbackDisk.File = "/array/../dev/sda" }, want: []string{"shop-disk: spec.loopbackDisk.file"}},
		"mount outside":            {spoil: func(o *snapshot.Objects) { o.Resources[0].Spec.LoopbackDisk.MountPath = "/srv/quorate/../../etc" }, want: []string{"shop-disk: spec.loopbackDisk.mountPath"}},
		"mount on the root itself": {spoil: func(o *snapshot.Objects) { o.Resources[0].Spec.LoopbackDisk.MountPath = "/srv/quorate/" }, want: []string{"shop-disk: spec.loopbackDisk.mountPath"}},
		"mount beside the root":    {spoil: func(o *snapshot.Objects) { o.Resources[0].Spec.LoopbackDisk.MountPath = "/srv/quorate-other" }, want: []string{"shop-disk: spec.loopbackDisk.mountPath"}},
		"missing dependency":       {spoil: func(o *snapshot.Objects) { o.Resources[2].Spec.DependsOn[1].Name = "news-ip" }, want: []string{`shop-app: spec.dependsOn[1].name: group shop has no Resource "news-ip"`}},
		"missing alternative": {spoil: func(o *snapshot.Objects) {
			o.Resources[2].Spec.DependsOn[1] = v1alpha1.Dependency{AnyOf: []string{"shop-ip", "x"}}
		}, want: []string{"shop-app: spec.dependsOn[1].anyOf[1]"}},
		"cycle": {spoil: func(o *snapshot.Objects) {
			o.Resources[0].Spec.DependsOn = []v1alpha1.Dependency{{AnyOf: []string{"shop-app"}}}
		}, want: []string{"shop-disk: spec.dependsOn: resources depend on each other in a circle: shop-disk -> shop-app -> shop-disk", "shop-app -> shop-disk -> shop-app"}},
		"cycle of groups": {spoil: func(o *snapshot.Objects) {
			o.Groups[0].Spec.DependsOn = []v1alpha1.GroupReference{{Name: "news"}}
			o.Groups[1].Spec.DependsOn = []v1alpha1.GroupReference{{Name: "shop"}}
		}, want: []string{"demo/shop: spec.dependsOn: groups depend on each other in a circle: shop -> news -> shop", "demo/news: spec.dependsOn"}},
		"no common owner": {spoil: func(o *snapshot.Objects) {
			o.Resources[0].Spec.PossibleOwners = []string{"a"}
			o.Resources[1].Spec.PossibleOwners = []string{"b"}
		}, want: []string{"demo/shop: resources[].spec.possibleOwners: its resources share no possible owner: Resource shop-disk: spec.possibleOwners is [a]; Resource shop-ip"}},
		"owner unknown":   {spoil: func(o *snapshot.Objects) { o.Resources[0].Spec.PossibleOwners = []string{"x"} }, want: []string{"none of its possible owners (x)", `shop-disk: spec.possibleOwners: cluster demo has no node "x"`}},
		"unknown network": {spoil: func(o *snapshot.Objects) { o.Resources[1].Spec.IPAddress.Network = "wan" }, want: []string{`shop-ip: spec.ipAddress.network: Cluster demo has no network "wan"; it has [hb lan]`}},
		"network without clients": {spoil: func(o *snapshot.Objects) {
			o.Resources[1].Spec.IPAddress.Network = "hb"
			o.Resources[1].Spec.IPAddress.Address = "10.77.1.9/24"
		}, want: []string{"has role Internal: it serves no clients"}},
		"address outside":   {spoil: func(o *snapshot.Objects) { o.Resources[1].Spec.IPAddress.Address = "10.9.9.9/24" }, want: []string{"shop-ip: spec.ipAddress.address: 10.9.9.9/24 is outside network \"lan\""}},
		"address of a node": {spoil: func(o *snapshot.Objects) { o.Resources[1].Spec.IPAddress.Address = "10.77.2.11/24" }, want: []string{"shop-ip: spec.ipAddress.address: 10.77.2.11 is the address of Node a"}},
		"address twice: older keeps it": {spoil: func(o *snapshot.Objects) {
			o.Resources[4].Spec.IPAddress.Address = "10.77.2.101/24"
			o.Resources[1].CreationTimestamp = younger
		}, want: []string{"shop-ip: spec.ipAddress.address: 10.77.2.101 is the address of Resource demo/news-ip"}},
		"partitions of one disk in two groups": {spoil: func(o *snapshot.Objects) {
			physical(o, 0, "/dev/disk/by-id/wwn-0x1-part1", "shop")
			physical(o, 3, "/dev/disk/by-id/wwn-0x1-part2", "news")
			o.Resources[3].CreationTimestamp = younger
		}, want: []string{"news-disk: spec.physicalDisk.device: /dev/disk/by-id/wwn-0x1 is the disk of Resource demo/shop-disk of group shop"}},
		"partitions of one disk in one group": {spoil: func(o *snapshot.Objects) {
			physical(o, 0, "/dev/disk/by-id/wwn-0x1-part1", "shop")
			physical(o, 3, "/dev/disk/by-id/wwn-0x1-part2", "news")
			o.Resources[3].Spec.GroupName = "shop"
			o.Resources[5].Spec.DependsOn = nil
		}},
		"disk twice: older keeps it": {spoil: func(o *snapshot.Objects) {
			o.Resources[3].Spec.LoopbackDisk.File = "/array//disk-1.img"
			o.Resources[3].CreationTimestamp = younger
		}, want: []string{"news-disk: spec.loopbackDisk.file: /array/disk-1.img is the disk of Resource demo/shop-disk of group shop"}},
		"unknown time zone": {spoil: func(o *snapshot.Objects) {
			o.Groups[0].Spec.Failback.Window = &v1alpha1.TimeWindow{Start: "22:00", End: "04:00", TimeZone: "Mars/Base"}
		}, want: []string{"demo/shop: spec.failback.window.timeZone"}},
		"unknown preferred owner": {spoil: func(o *snapshot.Objects) { o.Groups[0].Spec.PreferredOwners = []string{"x", "a"} }, want: []string{`demo/shop: spec.preferredOwners: cluster demo has no node "x"`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := good()
			tc.spoil(o)
			all := Check(o).All()
			texts := make([]string, 0, len(all))
			for _, f := range all {
				texts = append(texts, f.Text())
			}
			if len(all) != len(tc.want) {
				t.Fatalf("%d findings, want %d:\n%s", len(all), len(tc.want), strings.Join(texts, "\n"))
			}
			for _, part := range tc.want {
				if !strings.Contains(strings.Join(texts, "\n"), part) {
					t.Errorf("no finding %q in:\n%s", part, strings.Join(texts, "\n"))
				}
			}
		})
	}
}

// TestGroupError: what is wrong with a resource keeps its group from being started, but a dependency that has gone missing does not
// keep a group that runs from failing over.
func TestGroupError(t *testing.T) {
	cases := map[string]struct {
		spoil   func(*snapshot.Objects)
		invalid bool
	}{
		"good":               {spoil: func(*snapshot.Objects) {}},
		"a warning only":     {spoil: func(o *snapshot.Objects) { o.Groups[0].Spec.PreferredOwners = []string{"x"} }},
		"bad resource":       {invalid: true, spoil: func(o *snapshot.Objects) { o.Resources[1].Spec.IPAddress.Network = "wan" }},
		"missing dependency": {invalid: true, spoil: func(o *snapshot.Objects) { o.Resources[2].Spec.DependsOn[0].Name = "x" }},
		"missing dependency of a group that was placed": {spoil: func(o *snapshot.Objects) {
			o.Resources[2].Spec.DependsOn[0].Name = "x"
			o.Groups[0].Status.Assignment = &v1alpha1.Assignment{Node: "a", Epoch: 1}
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := good()
			tc.spoil(o)
			message, invalid := Check(o).InvalidGroups(o)[model.GroupKey{Namespace: "demo", Name: "shop"}]
			if invalid != tc.invalid {
				t.Errorf("invalid: got %v (%s), want %v", invalid, message, tc.invalid)
			}
		})
	}
}

// physical makes a resource one on a physical disk.
func physical(o *snapshot.Objects, i int, device, name string) {
	o.Cluster.Spec.AllowedResourceTypes[0].Devices = append(o.Cluster.Spec.AllowedResourceTypes[0].Devices, "/dev/disk/by-id/*")
	o.Cluster.Spec.AllowedResourceTypes[0].Types = append(o.Cluster.Spec.AllowedResourceTypes[0].Types, string(v1alpha1.TypePhysicalDisk))
	r := o.Resources[i]
	r.Spec.Type, r.Spec.LoopbackDisk = v1alpha1.TypePhysicalDisk, nil
	r.Spec.PhysicalDisk = &v1alpha1.PhysicalDisk{Device: device, FSType: "ext4", MountPath: "/srv/quorate/" + name}
}
