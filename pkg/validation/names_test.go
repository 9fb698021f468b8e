package validation

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

func networkName(resource, group, name string, on ...string) *v1alpha1.Resource {
	r := app(resource, group, on...)
	r.Spec.Type, r.Spec.GenericApplication, r.Spec.NetworkName = v1alpha1.TypeNetworkName, nil, &v1alpha1.NetworkName{Name: name}
	return r
}

// TestNames: a name has one user, an address, and a Service of its own; the sentence names both objects.
func TestNames(t *testing.T) {
	for name, tc := range map[string]struct {
		add   []*v1alpha1.Resource
		spoil func(*snapshot.Objects)
		want  []string
	}{
		"two names": {add: []*v1alpha1.Resource{networkName("shop-name", "shop", "shop", "shop-ip"), networkName("news-name", "news", "news", "news-ip")}},
		"one name twice: the older keeps it": {
			add:   []*v1alpha1.Resource{networkName("shop-name", "shop", "sales", "shop-ip"), networkName("news-name", "news", "sales", "news-ip")},
			spoil: func(o *snapshot.Objects) { o.Resources[6].CreationTimestamp = metav1.Time{Time: made.Add(time.Hour)} },
			want:  []string{`Resource demo/shop-name: spec.networkName.name: "sales" is the network name of Resource demo/news-name`},
		},
		"the cluster's own name": {
			add: []*v1alpha1.Resource{networkName("shop-name", "shop", "prod", "shop-ip")},
			spoil: func(o *snapshot.Objects) {
				o.Cluster.Spec.Access = &v1alpha1.ClusterAccess{Network: "lan", Address: "10.77.2.9/24", NetworkName: "prod"}
			},
			want: []string{`Resource demo/shop-name: spec.networkName.name: "prod" is the network name of Cluster demo`},
		},
		"without an address": {
			add:  []*v1alpha1.Resource{networkName("shop-name", "shop", "shop", "shop-disk")},
			want: []string{"Resource demo/shop-name: spec.dependsOn: a NetworkName must depend on an IPAddress"},
		},
		"one Service twice": {
			add: []*v1alpha1.Resource{networkName("news-name", "news", "news", "news-ip"), networkName("shop-name", "shop", "shop", "shop-ip")},
			spoil: func(o *snapshot.Objects) {
				o.Resources[6].Spec.NetworkName.Service = &v1alpha1.NameService{}
				o.Resources[7].Spec.NetworkName.Service = &v1alpha1.NameService{Name: "news"}
			},
			want: []string{`Resource demo/shop-name: spec.networkName.service.name: the Service "news" of the namespace is that of Resource demo/news-name`},
		},
		"a process with the name": {
			add: []*v1alpha1.Resource{networkName("shop-name", "shop", "shop", "shop-ip")},
			spoil: func(o *snapshot.Objects) {
				o.Resources[2].Spec.GenericApplication.UseNetworkName = true
				o.Resources[2].Spec.DependsOn = []v1alpha1.Dependency{{Name: "shop-name"}}
			},
		},
		"a process without a name": {
			spoil: func(o *snapshot.Objects) { o.Resources[2].Spec.GenericApplication.UseNetworkName = true },
			want:  []string{"Resource demo/shop-app: spec.genericApplication.useNetworkName: the process can have the network name of its group only if"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := good()
			o.Resources = append(o.Resources, tc.add...)
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
