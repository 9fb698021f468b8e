package validation

import (
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// contained makes shop-app a container that sees shop's disk.
func contained(o *snapshot.Objects, change func(*v1alpha1.Container)) {
	r := o.Resources[2]
	r.Spec.Type, r.Spec.GenericApplication = v1alpha1.TypeContainer, nil
	r.Spec.Container = &v1alpha1.Container{Image: "box", Mounts: []v1alpha1.ContainerMount{{Disk: "shop-disk", Path: "/data"}}}
	change(r.Spec.Container)
}

func TestContainers(t *testing.T) {
	cases := map[string]struct {
		change func(*v1alpha1.Container)
		spoil  func(*snapshot.Objects)
		want   string // part of the only finding; empty: there is none
	}{
		"well":         {},
		"no such disk": {change: func(c *v1alpha1.Container) { c.Mounts[0].Disk = "news-disk" }, want: `spec.container.mounts[0].disk: group shop has no Resource "news-disk": a container sees disks of its own group only`},
		"no disk":      {change: func(c *v1alpha1.Container) { c.Mounts[0].Disk = "shop-ip" }, want: `spec.container.mounts[0].disk: Resource "shop-ip" is no disk with a mountPath`},
		"not its own":  {spoil: func(o *snapshot.Objects) { o.Resources[2].Spec.DependsOn = nil }, want: "spec.container.mounts[0].disk: the container must depend on the disk: add {name: shop-disk} to spec.dependsOn"},
		"host path": {change: func(c *v1alpha1.Container) {
			c.Mounts[0] = v1alpha1.ContainerMount{HostPath: "/srv/quorate/x", Path: "/x"}
		}},
		"path elsewhere": {change: func(c *v1alpha1.Container) { c.Mounts[0] = v1alpha1.ContainerMount{HostPath: "/etc/x", Path: "/x"} }, want: "spec.container.mounts[0].hostPath: /etc/x is below none of the mountRoots that Cluster demo allows namespace demo"},
		"path with dots": {change: func(c *v1alpha1.Container) {
			c.Mounts[0] = v1alpha1.ContainerMount{HostPath: "/srv/quorate/../../etc", Path: "/x"}
		}, want: "spec.container.mounts[0].hostPath"},
		"device":       {change: func(c *v1alpha1.Container) { c.Devices = []string{"/array/tape"} }},
		"other device": {change: func(c *v1alpha1.Container) { c.Devices = []string{"/array/tape", "/dev/sda"} }, want: "spec.container.devices[1]: /dev/sda is none of the devices that Cluster demo allows namespace demo"},
		"path in one entry, device in another": {change: func(c *v1alpha1.Container) {
			c.Mounts[0], c.Devices = v1alpha1.ContainerMount{HostPath: "/opt/x", Path: "/x"}, []string{"/array/tape"}
		}, spoil: func(o *snapshot.Objects) {
			o.Cluster.Spec.AllowedResourceTypes = append(o.Cluster.Spec.AllowedResourceTypes, v1alpha1.AllowedResourceTypes{
				Name: "opt", Namespaces: []string{"demo"}, Types: []string{"Container"}, MountRoots: []string{"/opt"},
			})
		}, want: "spec.container.devices[0]"},
		"address of another": {change: func(c *v1alpha1.Container) { c.Network, c.Address = v1alpha1.ContainerNetworkBridged, "10.77.2.101/24" }, spoil: func(o *snapshot.Objects) {
			o.Resources[2].CreationTimestamp.Time = made.Add(time.Hour)
		}, want: "spec.container.address: 10.77.2.101 is the address of Resource demo/shop-ip"},
		"device is a disk of another": {change: func(c *v1alpha1.Container) { c.Devices = []string{"/array/disk-2.img"} }, want: "spec.container.devices[0]: /array/disk-2.img is the disk of Resource demo/news-disk of group news"},
		"cluster support":             {change: func(c *v1alpha1.Container) { c.ClusterSupport = true }, want: "spec.container.clusterSupport: this version does not do it"},
		"no network name":             {change: func(c *v1alpha1.Container) { c.UseNetworkName = true }, want: "spec.container.useNetworkName: the container can have the network name of its group only if"},
		"value from": {change: func(c *v1alpha1.Container) {
			c.Env = []v1alpha1.EnvVar{{Name: "A", ValueFrom: &v1alpha1.EnvVarSource{}}}
		}},
		"address on many": {change: func(c *v1alpha1.Container) {
			c.Mounts, c.Network, c.Address = nil, v1alpha1.ContainerNetworkBridged, "10.77.2.150/24"
		}, spoil: func(o *snapshot.Objects) {
			o.Groups[0].Spec.Mode = v1alpha1.GroupModeLoadBalanced
			o.Resources[2].Spec.DependsOn = nil
			o.Resources = append(o.Resources[2:3:3], o.Resources[3:]...)
		}, want: "spec.container.address: a container with an address cannot be in group shop"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := good()
			contained(o, func(p *v1alpha1.Container) {
				if c.change != nil {
					c.change(p)
				}
			})
			if c.spoil != nil {
				c.spoil(o)
			}
			found := Check(o).All()
			if c.want == "" && len(found) == 0 {
				return
			}
			if c.want == "" || len(found) != 1 || !strings.Contains(found[0].Text(), "Resource demo/shop-app: "+c.want) {
				t.Errorf("found %v, want %q", found, c.want)
			}
		})
	}
}
