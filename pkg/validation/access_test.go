package validation

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/coregroup"
	"github.com/quorate/quorate/pkg/snapshot"
)

// TestAccess: the cluster's own address and name are those of its core group, in a namespace that nothing allows, and of nobody else.
func TestAccess(t *testing.T) {
	for name, tc := range map[string]struct {
		address string
		spoil   func(*snapshot.Objects)
		want    []string
	}{
		"well":      {address: "10.77.2.9/24"},
		"of a node": {address: "10.77.2.11/24", want: []string{"Resource quorate-system/core-demo-address: spec.ipAddress.address: 10.77.2.11 is the address of Node a"}},
		"of a group": {address: "10.77.2.101/24", want: []string{
			"Resource demo/shop-ip: spec.ipAddress.address: 10.77.2.101 is the address of Cluster demo",
		}},
		"the name of a group": {
			address: "10.77.2.9/24",
			spoil: func(o *snapshot.Objects) {
				o.Resources = append(o.Resources, networkName("n", "shop", "prod", "shop-ip"))
			},
			want: []string{`Resource demo/n: spec.networkName.name: "prod" is the network name of Cluster demo`},
		},
		"not the cluster's": {
			address: "10.77.2.9/24",
			spoil: func(o *snapshot.Objects) {
				for _, r := range o.Resources {
					r.OwnerReferences = nil
				}
			},
			want: []string{
				"Resource quorate-system/core-demo-address: spec.ipAddress.address: 10.77.2.9 is the address of Cluster demo",
				"Resource quorate-system/core-demo-address: spec.type: Cluster demo: spec.allowedResourceTypes does not allow IPAddress",
				`Resource quorate-system/core-demo-name: spec.networkName.name: "prod" is the network name of Cluster demo`,
				"Resource quorate-system/core-demo-name: spec.type: Cluster demo: spec.allowedResourceTypes does not allow NetworkName",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := good()
			o.Cluster.Spec.Access = &v1alpha1.ClusterAccess{Network: "lan", Address: tc.address, NetworkName: "prod"}
			core := coregroup.Want(o.Cluster)
			o.Groups, o.Resources = append(o.Groups, core.Group), append(o.Resources, core.Resources...)
			if tc.spoil != nil {
				tc.spoil(o)
			}
			var texts []string
			for _, f := range Check(o).All() {
				texts = append(texts, f.Text())
			}
			if len(texts) != len(tc.want) {
				t.Fatalf("findings %q, want %q", texts, tc.want)
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(texts[i], want) {
					t.Errorf("finding %q, want %q", texts[i], want)
				}
			}
		})
	}
}
