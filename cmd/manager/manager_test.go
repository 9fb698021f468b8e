package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
	"github.com/quorate/quorate/controllers/leadership"
)

// asManager makes the test binary the manager: leadership is about processes, so the test runs several.
const asManager = "QUORATE_TEST_AS_MANAGER"

var env *controllertest.Environment

func TestMain(m *testing.M) {
	if os.Getenv(asManager) != "" {
		main()
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if env, err = controllertest.Start(context.Background(), "../../config"); err != nil {
		fmt.Fprintln(os.Stderr, "cmd/manager:", err)
		return 1
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		}
	}()
	return m.Run()
}

// start runs a manager on a host until the test ends.
func start(t *testing.T, kubeconfig, host string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "--kubeconfig", kubeconfig, "--node", host)
	cmd.Env = append(os.Environ(), asManager+"=1")
	log, err := os.Create(filepath.Join(t.TempDir(), host+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("manager on %s:\n%s", host, text)
		}
	})
	return cmd
}

func eventually(t *testing.T, within time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if holds() {
			return time.Since(begin)
		}
		if time.Since(begin) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

func lease(t *testing.T) *coordinationv1.Lease {
	t.Helper()
	var l coordinationv1.Lease
	if err := client.IgnoreNotFound(env.Admin.Get(t.Context(), client.ObjectKey{Namespace: "quorate-system", Name: leaseName}, &l)); err != nil {
		t.Fatal(err)
	}
	return &l
}

func leads(t *testing.T, host string) bool {
	holder := lease(t).Spec.HolderIdentity
	return holder != nil && strings.HasPrefix(*holder, host+"_")
}

// publish writes a view as its reporter would, with a renewal of its Lease.
func publish(t *testing.T, reporter string, view *v1alpha1.AgentView, clusterID string) {
	t.Helper()
	var n v1alpha1.Node
	if err := env.Admin.Get(t.Context(), client.ObjectKey{Name: reporter}, &n); err != nil {
		t.Fatal(err)
	}
	before := n.DeepCopy()
	n.Status.Agent = &v1alpha1.AgentStatus{BootID: "boot", Generation: 1, ClusterID: clusterID, View: view, Guards: &v1alpha1.AgentGuards{Addresses: true}}
	if view != nil {
		view.InstalledAt = &metav1.MicroTime{Time: time.Now()}
	}
	if err := env.Admin.Status().Patch(t.Context(), &n, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func view(number int64, ids ...int32) *v1alpha1.AgentView {
	v := &v1alpha1.AgentView{ID: v1alpha1.ViewID{Number: number, Coordinator: ids[0]}, Quorate: true}
	for _, id := range ids {
		v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: id, Generation: 1, ReachesAPI: true})
	}
	return v
}

// TestLeaderHostLost: when a quorate view lacks the leader's host, the standby leads and places the lost host's groups long before
// the Lease runs out. The old leader, frozen as it was, ends its lead when it wakes.
func TestLeaderHostLost(t *testing.T) {
	content, err := env.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, content, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	objects := []client.Object{
		controllertest.NewCluster("lead"),
		&v1alpha1.QuorumConfig{ObjectMeta: metav1.ObjectMeta{Name: "lead"}, Spec: v1alpha1.QuorumConfigSpec{ClusterName: "lead"}},
	}
	for i, name := range []string{"node-a", "node-b", "node-c"} {
		objects = append(objects, controllertest.NewNode("lead", name, i+1))
	}
	objects = append(objects, &v1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shop"},
		Spec:       v1alpha1.ResourceGroupSpec{ClusterName: "lead", PreferredOwners: []string{"node-a", "node-b"}},
	})
	for _, r := range controllertest.GroupResources("default", "shop", 1) {
		objects = append(objects, r)
	}
	for _, o := range objects {
		if err := env.Admin.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	a := start(t, kubeconfig, "node-a")
	eventually(t, 20*time.Second, "the manager on node-a leads", func() bool { return leads(t, "node-a") })
	start(t, kubeconfig, "node-b")
	eventually(t, 10*time.Second, "nodes have ids", func() bool { return nodeID(t, "node-c") == 3 })
	for _, name := range []string{"node-a", "node-b", "node-c"} {
		publish(t, name, nil, "")
	}
	eventually(t, 10*time.Second, "the cluster is formed", func() bool { return clusterID(t) != "" })
	id := clusterID(t)
	publish(t, "node-a", view(1, 1, 2, 3), id)
	eventually(t, 10*time.Second, "the group is on node-a", func() bool { return owner(t) == "node-a" })
	time.Sleep(3 * time.Second) // the standby's caches are warm, and it has seen the leader

	if err := a.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	publish(t, "node-b", view(2, 2, 3), id)
	took := eventually(t, 5*time.Second, "the group is on node-b", func() bool { return owner(t) == "node-b" })
	t.Logf("the standby led and had placed the group %s after the view", took)
	if !leads(t, "node-b") {
		t.Error("the group was placed by a manager that does not lead")
	}
	if took > leadership.LeaseDuration/4 {
		t.Errorf("it took %s: the standby waited for the Lease", took)
	}
	if err := a.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if !leads(t, "node-b") {
		t.Error("the thawed manager took the lead back")
	}
	quiet(t)
	told(t)
}

// told checks that the story is in Events of the group.
func told(t *testing.T) {
	t.Helper()
	var list eventsv1.EventList
	if err := env.Admin.List(t.Context(), &list, client.InNamespace("default")); err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, e := range list.Items {
		if e.Regarding.Kind == "ResourceGroup" && e.Regarding.Name == "shop" {
			reasons = append(reasons, e.Reason)
		}
	}
	for _, reason := range []string{"FirstPlacement", "NodeDown"} {
		if !slices.Contains(reasons, reason) {
			t.Errorf("no Event %s among %v", reason, reasons)
		}
	}
}

// TestReleaseFinalizers: after it, everything can be deleted without a manager.
func TestReleaseFinalizers(t *testing.T) {
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "held", Finalizers: []string{v1alpha1.OfflineFirstFinalizer, "example.org/other"},
	}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: "none"}}
	if err := env.Admin.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if err := releaseFinalizers(t.Context(), env.Manager, func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
	if err := env.Admin.Get(t.Context(), client.ObjectKeyFromObject(g), g); err != nil {
		t.Fatal(err)
	}
	if len(g.Finalizers) != 1 || g.Finalizers[0] != "example.org/other" {
		t.Errorf("finalizers: %v, want only the one that is not ours", g.Finalizers)
	}
}

// quiet checks that nothing but Leases is written to an idle cluster.
func quiet(t *testing.T) {
	t.Helper()
	before := versions(t)
	time.Sleep(3 * time.Second)
	for name, version := range versions(t) {
		if before[name] != version {
			t.Errorf("%s was written to although nothing happened", name)
		}
	}
}

func versions(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, list := range []client.ObjectList{
		&v1alpha1.ClusterList{}, &v1alpha1.NodeList{}, &v1alpha1.QuorumConfigList{}, &v1alpha1.ResourceGroupList{}, &v1alpha1.ResourceList{},
	} {
		if err := env.Admin.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		switch l := list.(type) {
		case *v1alpha1.ClusterList:
			for _, o := range l.Items {
				out["cluster "+o.Name] = o.ResourceVersion
			}
		case *v1alpha1.NodeList:
			for _, o := range l.Items {
				out["node "+o.Name] = o.ResourceVersion
			}
		case *v1alpha1.QuorumConfigList:
			for _, o := range l.Items {
				out["quorum "+o.Name] = o.ResourceVersion
			}
		case *v1alpha1.ResourceGroupList:
			for _, o := range l.Items {
				out["group "+o.Name] = o.ResourceVersion
			}
		case *v1alpha1.ResourceList:
			for _, o := range l.Items {
				out["resource "+o.Name] = o.ResourceVersion
			}
		}
	}
	return out
}

func nodeID(t *testing.T, name string) int32 {
	t.Helper()
	var n v1alpha1.Node
	if err := env.Admin.Get(t.Context(), client.ObjectKey{Name: name}, &n); err != nil {
		t.Fatal(err)
	}
	return n.Status.ID
}

func clusterID(t *testing.T) string {
	t.Helper()
	var c v1alpha1.Cluster
	if err := env.Admin.Get(t.Context(), client.ObjectKey{Name: "lead"}, &c); err != nil {
		t.Fatal(err)
	}
	return c.Status.ClusterID
}

func owner(t *testing.T) string {
	t.Helper()
	var g v1alpha1.ResourceGroup
	if err := env.Admin.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "shop"}, &g); err != nil {
		t.Fatal(err)
	}
	return g.Status.Owner
}
