package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestHost looks at this machine: a process in a resource's control group, one outside, run state, a lease, and the mounts.
func TestHost(t *testing.T) {
	root, run := cgrouptest.Root(t), t.TempDir()
	store, err := runstate.Open(run, "")
	must(t, err)
	must(t, store.PutResource(&runstate.Resource{
		Resource: resourcetype.Identity{UID: "u1", Namespace: "demo", Name: "web"}, Group: resourcetype.Identity{UID: "g1", Name: "shop"},
		Type: "LoopbackDisk", Epoch: 7, Spec: json.RawMessage(`{"loopbackDisk":{"file":"/d","mountPath":"/srv/quorate/shop"}}`),
		Machine: lifecycle.SavedResource{Phase: lifecycle.PhaseOnline},
	}))
	must(t, os.WriteFile(filepath.Join(run, "resources", "torn.json"), []byte("{"), 0o600))
	lease, err := runstate.OpenLease(run)
	must(t, err)
	must(t, lease.Write(runstate.Lease{KeepingUntil: runstate.BootTime() + time.Hour, SelfFence: time.Second}))
	must(t, os.WriteFile(filepath.Join(run, "status.json"), []byte(`{"acting":true,"view":"5/1","members":["a (1.1)","b (2.1)"]}`), 0o600))
	group := cgroup.At(filepath.Join(root, "app-u1"))
	must(t, group.Create())
	dir, err := group.Open()
	must(t, err)
	defer dir.Close()
	inside := exec.Command("/bin/sleep", "60")
	inside.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	outside := exec.Command("/bin/sleep", "61")
	for _, c := range []*exec.Cmd{inside, outside} {
		must(t, c.Start())
		defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	}
	for _, pid := range []int{0, os.Getpid()} { // as the host itself, and as one that is looked into
		h, err := Host(t.Context(), HostOptions{Node: "a", PID: pid, RunDir: run, CgroupRoot: root})
		must(t, err)
		found := map[int]audit.Process{}
		for _, p := range h.Processes {
			found[p.PID] = p
		}
		if p := found[inside.Process.Pid]; p.Resource != "u1" || p.Command != audit.CommandHash(inside.Args) || p.Name != "sleep" {
			t.Errorf("the process inside: %+v", p)
		}
		if p := found[outside.Process.Pid]; p.Resource != "" || p.Command != audit.CommandHash(outside.Args) {
			t.Errorf("the process outside: %+v", p)
		}
		if len(h.Records) != 1 || !h.Records[0].Live || h.Records[0].MountPath != "/srv/quorate/shop" || len(h.Damaged) != 1 {
			t.Errorf("records %+v, damaged %v", h.Records, h.Damaged)
		}
		if l := h.Lease; l == nil || l.Left < 50*time.Minute || !l.Acting || strings.Join(l.Members, " ") != "a b" {
			t.Errorf("lease %+v", h.Lease)
		}
		if len(h.Mounts) == 0 || h.Mounts[0].Path == "" {
			t.Errorf("mounts %+v", h.Mounts)
		}
	}
}

// TestHostWithoutAgent: a host on which no agent has run has no lease and no records, which is no error.
func TestHostWithoutAgent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	h, err := Host(t.Context(), HostOptions{Node: "a", RunDir: dir, CgroupRoot: dir})
	must(t, err)
	if h.Lease != nil || len(h.Records) > 0 {
		t.Errorf("found %+v", h)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking has made %s: %v", dir, err)
	}
}

func scheme(t *testing.T) *runtime.Scheme {
	s := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(s))
	must(t, v1alpha1.AddToScheme(s))
	return s
}

// TestAPI reads one cluster of two, and knows whether its reporter is heard.
func TestAPI(t *testing.T) {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.ReporterLeaseName("demo")}}
	renew := func(at time.Time) {
		now := metav1.NewMicroTime(at)
		lease.Spec.RenewTime, lease.Spec.HolderIdentity = &now, new("a")
	}
	renew(time.Now().Add(-time.Minute))
	var forbidden bool
	api := fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(
		&v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, Status: v1alpha1.ClusterStatus{Quorate: true}},
		&v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}},
		&v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: v1alpha1.NodeSpec{ClusterName: "other"}},
		&v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "g"}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: "demo"}},
		&v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "r"}, Spec: v1alpha1.ResourceSpec{GroupName: "g"}},
		&v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "orphan"}, Spec: v1alpha1.ResourceSpec{GroupName: "none"}},
		lease,
	).WithInterceptorFuncs(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if _, is := o.(*coordinationv1.Lease); is && forbidden {
			return errors.New("forbidden")
		}
		return c.Get(ctx, key, o, opts...)
	}}).Build()
	reader := &API{Client: api, Cluster: "demo"}
	look := func(wantFresh bool) {
		t.Helper()
		o, _, err := reader.Objects(t.Context())
		must(t, err)
		if len(o.Nodes) != 1 || len(o.Groups) != 1 || len(o.Resources) != 1 || o.Resources[0].Name != "r" || o.Fresh != wantFresh {
			t.Errorf("objects %d nodes, %d groups, %d resources, fresh %v; want one each, fresh %v",
				len(o.Nodes), len(o.Groups), len(o.Resources), o.Fresh, wantFresh)
		}
	}
	look(false)
	renew(time.Now().Add(-30 * time.Second)) // by another host's clock; what counts is that it was renewed
	must(t, api.Update(t.Context(), lease))
	look(true)
	forbidden = true
	_, unseen, err := reader.Objects(t.Context())
	must(t, err)
	if len(unseen) != 1 || !strings.Contains(unseen[0].Object, "demo-reporter") {
		t.Errorf("unseen %+v, want the Lease", unseen)
	}
	if _, _, err := (&API{Client: api, Cluster: "none"}).Objects(t.Context()); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a cluster that is not there: %v", err)
	}
}

// TestNodesMayDecide: what the API server shows is not what is in force once the reporter of nodes that decide themselves is silent.
func TestNodesMayDecide(t *testing.T) {
	renewed := metav1.NewMicroTime(time.Now().Add(-time.Minute))
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.ReporterLeaseName("demo")}}
	lease.Spec.RenewTime = &renewed
	cluster := &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, Spec: v1alpha1.ClusterSpec{Autonomy: v1alpha1.AutonomyEnabled}}
	api := fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(cluster, lease).Build()
	reader := &API{Client: api, Cluster: "demo"}
	if o, _, err := reader.Objects(t.Context()); !errors.Is(err, errMayDecide) || o != nil {
		t.Errorf("%+v, %v", o, err)
	}
	renewed = metav1.NowMicro()
	must(t, api.Update(t.Context(), lease))
	if o, _, err := reader.Objects(t.Context()); !errors.Is(err, errMayDecide) || o != nil {
		t.Errorf("%+v, %v when the reporter is heard again, and may not have published yet", o, err)
	}
	heard := reader.back
	reader.back = heard.Add(-catchUp)
	if o, _, err := reader.Objects(t.Context()); err != nil || o == nil {
		t.Errorf("%+v, %v when the reporter has had its time, and nothing was decided", o, err)
	}
	reader.back = heard
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
	node.Status.Agent = &v1alpha1.AgentStatus{
		View: &v1alpha1.AgentView{Quorate: true, ID: v1alpha1.ViewID{Number: 1}}, Journal: &v1alpha1.AgentJournal{Token: "page", Page: []byte("x")},
	}
	must(t, api.Create(t.Context(), node))
	if o, _, err := reader.Objects(t.Context()); err != nil || o == nil {
		t.Errorf("%+v, %v when the reporter publishes", o, err)
	}
	pages := node.Status.Agent.Journal
	node.Status.Agent.Journal = nil
	must(t, api.Update(t.Context(), node))
	if o, _, err := reader.Objects(t.Context()); !errors.Is(err, errMayDecide) || o != nil {
		t.Errorf("%+v, %v when the reporter is another one, which publishes nothing yet", o, err)
	}
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(cluster), cluster))
	cluster.Status.JournalWritten = pages.Token
	must(t, api.Update(t.Context(), cluster))
	if o, _, err := reader.Objects(t.Context()); err != nil || o == nil {
		t.Errorf("%+v, %v when everything is written", o, err)
	}
	node.Status.Agent.Journal = &v1alpha1.AgentJournal{Pending: true}
	node.Status.ID, node.Status.Agent.Generation = 1, 1
	node.Status.Agent.View.Members = []v1alpha1.AgentViewMember{{ID: 1, Generation: 1}}
	must(t, api.Update(t.Context(), node))
	if o, _, err := reader.Objects(t.Context()); !errors.Is(err, errMayDecide) || o != nil {
		t.Errorf("%+v, %v when a node goes by a journal that nobody publishes", o, err)
	}
	must(t, api.Delete(t.Context(), lease))
	if o, _, err := (&API{Client: api, Cluster: "demo"}).Objects(t.Context()); !errors.Is(err, errMayDecide) || o != nil {
		t.Errorf("%+v, %v when a node goes by a journal, and no reporter has had the time to take the Lease", o, err)
	}
}

// TestHostFiles: facts are read anew, aged, and refused when they are too old or something else.
func TestHostFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	write := func(at time.Time) {
		raw, err := json.Marshal(LocalReport{Host: audit.Host{Node: "a", At: at, Lease: &audit.Lease{Left: 10 * time.Second, Acting: true}}})
		must(t, err)
		must(t, os.WriteFile(path, raw, 0o600))
	}
	read := HostFiles([]string{path})
	write(time.Now().Add(-20 * time.Second))
	hosts, unseen := read(t.Context())
	if len(hosts) != 1 || len(unseen) > 0 || hosts[0].Lease.Left > -9*time.Second || hosts[0].Lease.Acting {
		t.Errorf("facts %+v, unseen %v: want a lease that has ended 10 s ago", hosts, unseen)
	}
	write(time.Now().Add(-time.Hour))
	if hosts, unseen := read(t.Context()); len(hosts) > 0 || len(unseen) != 1 || !strings.Contains(unseen[0].Message, "old") {
		t.Errorf("facts %+v, unseen %v: want them to be too old", hosts, unseen)
	}
	must(t, os.WriteFile(path, []byte(`{"host":{}}`), 0o600))
	if _, unseen := read(t.Context()); len(unseen) != 1 || !strings.Contains(unseen[0].Message, "quorate-agent audit --local") {
		t.Errorf("unseen %v: want to be told what to do", unseen)
	}
}

// TestTake: what fails is told, the rest is seen.
func TestTake(t *testing.T) {
	api := fake.NewClientBuilder().WithScheme(scheme(t)).Build()
	c := &Collectors{
		API:   &API{Client: api, Cluster: "demo"},
		Hosts: func(context.Context) ([]audit.Host, []audit.Unseen) { return []audit.Host{{Node: "a"}}, nil },
	}
	l := c.Take(t.Context())
	if l.Objects != nil || len(l.Hosts) != 1 || len(l.Unseen) != 1 || l.Unseen[0].Source != audit.SourceAPI {
		t.Errorf("look %+v", l)
	}
}

// FuzzParseLocalReport: whatever a file holds, it is facts of a named host or an error.
func FuzzParseLocalReport(f *testing.F) {
	f.Add([]byte(`{"host":{"node":"a","at":"2026-01-01T00:00:00Z","lease":{"left":5}}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := ParseLocalReport(raw)
		if err == nil && (r.Host.Node == "" || r.Host.At.IsZero()) {
			t.Errorf("accepted %q", raw)
		}
	})
}

// FuzzExports: the table of a file server never makes the look fail.
func FuzzExports(f *testing.F) {
	f.Add([]byte("/srv/share\t10.0.0.0/24(rw,sync)\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, path := range parseExports(raw) {
			if !strings.HasPrefix(path, "/") || bytes.ContainsAny([]byte(path), " \t\n") {
				t.Errorf("export %q of %q", path, raw)
			}
		}
	})
}
