package leadership

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/quorate/quorate/api/v1alpha1"
)

func testNode(name, host string, id int32, view *v1alpha1.AgentView) *v1alpha1.Node {
	return &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.NodeSpec{ClusterName: "demo", HostName: host},
		Status:     v1alpha1.NodeStatus{ID: id, Agent: &v1alpha1.AgentStatus{View: view}},
	}
}

func view(number int64, ids ...int32) *v1alpha1.AgentView {
	v := &v1alpha1.AgentView{ID: v1alpha1.ViewID{Number: number, Coordinator: 1}, Quorate: true}
	for _, id := range ids {
		v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: id, Generation: 1, ReachesAPI: true})
	}
	return v
}

func TestHostsLost(t *testing.T) {
	cases := map[string]struct {
		identity string
		views    []*v1alpha1.AgentView // as b publishes them, one after the other
		unsynced bool
		want     bool
	}{
		"host is in the view":                  {identity: "node-a_1", views: []*v1alpha1.AgentView{view(1, 1, 2), view(2, 1, 2)}},
		"host leaves the view":                 {identity: "node-a_1", views: []*v1alpha1.AgentView{view(1, 1, 2), view(2, 2)}, want: true},
		"host is named by its kubernetes node": {identity: "host-a_1", views: []*v1alpha1.AgentView{view(1, 1, 2), view(2, 2)}, want: true},
		"led while its host was in no view":    {identity: "node-a_1", views: []*v1alpha1.AgentView{view(2, 2), view(2, 2)}},
		"newer view still lacks it":            {identity: "node-a_1", views: []*v1alpha1.AgentView{view(2, 2), view(3, 2)}, want: true},
		"host unknown to the cluster":          {identity: "elsewhere_1", views: []*v1alpha1.AgentView{view(1, 2), view(2, 2)}},
		"identity without a host":              {identity: "1", views: []*v1alpha1.AgentView{view(1, 2), view(2, 2)}},
		"cache is not complete":                {identity: "node-a_1", views: []*v1alpha1.AgentView{view(1, 1, 2), view(2, 2)}, unsynced: true},
		"view is not quorate":                  {identity: "node-a_1", views: []*v1alpha1.AgentView{view(1, 1, 2), {ID: v1alpha1.ViewID{Number: 2}}}},
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := testNode("node-b", "", 2, nil)
			c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(b).
				WithObjects(testNode("node-a", "host-a", 1, nil), b).Build()
			hosts := &Hosts{Reader: c, Synced: func() bool { return !tc.unsynced }}
			got := false
			for _, v := range tc.views {
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(b), b); err != nil {
					t.Fatal(err)
				}
				b.Status.Agent = &v1alpha1.AgentStatus{View: v}
				if err := c.Status().Update(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				got = hosts.Lost(t.Context(), tc.identity)
			}
			if got != tc.want {
				t.Errorf("lost: got %v, want %v", got, tc.want)
			}
		})
	}
}
