package api

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

func TestSamplesAreAccepted(t *testing.T) {
	cases := map[string]struct{ path, namespace string }{
		"postgresql": {"samples/postgresql.yaml", "db"},
		"demo":       {"samples/demo", "demo"},
		"two nodes":  {"samples/two-node", "demo"},
		"disk":       {"samples/disk.yaml", "files"},
		"container":  {"samples/container.yaml", "stores"},
		"fencing":    {"samples/fencing.yaml", ""},
		"lease":      {"samples/lease-witness.yaml", ""},
		"service":    {"samples/service.yaml", "web"},
		"name":       {"samples/network-name.yaml", "demo"},
		"balanced":   {"samples/load-balanced.yaml", "demo"},
		"3+1":        {"samples/three-plus-one", "demo"},
		"licences":   {"samples/licence-server.yaml", "demo"},
		"dhcp":       {"samples/dhcp.yaml", "demo"},
		"file sync":  {"samples/file-sync.yaml", "demo"},
		"pg process": {"samples/postgresql-process.yaml", "demo"},
		"access":     {"samples/cluster-access.yaml", ""},
		"pg ocf":     {"samples/postgresql-ocf.yaml", "demo"},
		"pg box":     {"samples/postgresql-container.yaml", "demo"},
	}
	named := map[string]bool{"samples/README.md": true}
	for _, tc := range cases {
		named[tc.path] = true
	}
	entries, err := os.ReadDir(config + "/samples")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !named["samples/"+e.Name()] {
			t.Errorf("config/samples/%s is not tested here", e.Name())
		}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			objects, err := load(config + "/" + tc.path)
			if err != nil {
				t.Fatal(err)
			}
			// What is not ours, an operator of the cluster may not make: Secrets, and who may read them.
			var ours, others []*unstructured.Unstructured
			for _, o := range objects {
				if o.GroupVersionKind().Group != v1alpha1.GroupName && o.GetKind() != "Namespace" {
					others = append(others, o)
					continue
				}
				ours = append(ours, o)
				// The Go types know every field of the samples.
				if typed, err := scheme.New(o.GroupVersionKind()); err != nil {
					t.Error(err)
				} else if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, typed, true); err != nil {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
			}
			if tc.namespace != "" {
				namespace := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": tc.namespace}}}
				namespace.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
				create(t, admin, namespace)
			}
			create(t, admin, others...)
			create(t, mustClientAs(t, "lab-operator", "quorate:admins"), ours...)
		})
	}
}

func TestDefaults(t *testing.T) {
	ctx := t.Context()
	create(t, admin, base(t, "Cluster"), base(t, "Node"), base(t, "QuorumConfig"), base(t, "ResourceGroup"), base(t, "Resource"))
	var (
		cluster  v1alpha1.Cluster
		node     v1alpha1.Node
		quorum   v1alpha1.QuorumConfig
		group    v1alpha1.ResourceGroup
		resource v1alpha1.Resource
	)
	for name, o := range map[string]client.Object{"c": &cluster, "node": &node, "g": &group, "r": &resource} {
		key := client.ObjectKey{Name: name}
		if name == "g" || name == "r" {
			key.Namespace = "default"
		}
		if err := admin.Get(ctx, key, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.Get(ctx, client.ObjectKey{Name: "c"}, &quorum); err != nil {
		t.Fatal(err)
	}
	duration := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	checks := map[string]struct{ got, want any }{
		"heartbeat": {cluster.Spec.Heartbeat, v1alpha1.Heartbeat{
			Interval: duration(250 * time.Millisecond), Threshold: new(int32(4)), Port: new(int32(3343)),
			KeySecretRef: v1alpha1.SecretReference{Namespace: "quorate-system", Name: "key"},
		}},
		"selfFence":        {cluster.Spec.SelfFence, v1alpha1.SelfFence{Timeout: duration(time.Second)}},
		"antiAffinity":     {cluster.Spec.AntiAffinity, v1alpha1.AntiAffinityPreferred},
		"preemption":       {cluster.Spec.Preemption, v1alpha1.PreemptionNever},
		"role":             {node.Spec.Role, v1alpha1.NodeActive},
		"availability":     {node.Spec.Availability, v1alpha1.AvailabilityAvailable},
		"failbackOnResume": {node.Spec.FailbackOnResume, v1alpha1.FailbackOnResumePolicy},
		"votes":            {node.Spec.Votes, new(int32(1))},
		"quorum mode":      {quorum.Spec.Mode, v1alpha1.QuorumNodeMajority},
		"dynamicVotes":     {quorum.Spec.DynamicVotes, new(true)},
		"group mode":       {group.Spec.Mode, v1alpha1.GroupModeFailover},
		"group desired":    {group.Spec.DesiredState, v1alpha1.DesiredOnline},
		"priority":         {group.Spec.Priority, new(int32(2000))},
		"failover":         {group.Spec.Failover, v1alpha1.Failover{Threshold: new(int32(6)), Period: duration(10 * time.Hour)}},
		"failback":         {group.Spec.Failback, v1alpha1.Failback{Policy: v1alpha1.FailbackNever, Delay: duration(0)}},
		"resource desired": {resource.Spec.DesiredState, v1alpha1.DesiredOnline},
		"restart": {resource.Spec.Restart, v1alpha1.Restart{
			Policy: v1alpha1.RestartThenFailover, Threshold: new(int32(3)), Period: duration(15 * time.Minute), Delay: duration(500 * time.Millisecond),
		}},
		// What is inherited has no default of its own.
		"timing":               {resource.Spec.Timing, v1alpha1.Timing{}},
		"retryPeriodOnFailure": {resource.Spec.RetryPeriodOnFailure, (*metav1.Duration)(nil)},
	}
	for name, tc := range checks {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestTypedRoundTrip sends objects as Go programs write them: what is not set must not override a default.
func TestTypedRoundTrip(t *testing.T) {
	group := &v1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Name: "typed", Namespace: "default"},
		Spec:       v1alpha1.ResourceGroupSpec{ClusterName: "c", Failback: v1alpha1.Failback{Policy: v1alpha1.FailbackImmediate}},
	}
	if err := admin.Create(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, group) })
	if got := *group.Spec.Failover.Threshold; got != 6 {
		t.Errorf("failover.threshold = %d, want the default 6", got)
	}
	if got := group.Spec.Failback.Delay; got == nil || got.Duration != 0 {
		t.Errorf("failback.delay = %v, want the default 0s", got)
	}
}
