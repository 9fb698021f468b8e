package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
)

// The other cluster's API server, shared by all tests of the package, since starting one takes seconds.
var (
	testEnv *envtest.Environment
	admin   client.Client
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, "pkg/witness/lease needs a real API server, named by KUBEBUILDER_ASSETS: run make test")
		return 1
	}
	testEnv = &envtest.Environment{}
	defer func() {
		if err := testEnv.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		}
	}()
	cfg, err := testEnv.Start()
	if err == nil {
		admin, err = client.New(cfg, client.Options{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the control plane:", err)
		return 1
	}
	return m.Run()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kubeconfig is what a Secret would hold.
func kubeconfig(t *testing.T, c *rest.Config) []byte {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["other"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	config.AuthInfos["me"] = &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData}
	config.Contexts["there"] = &clientcmdapi.Context{Cluster: "other", AuthInfo: "me"}
	config.CurrentContext = "there"
	raw, err := clientcmd.Write(*config)
	must(t, err)
	return raw
}

func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "witness-"}}
	must(t, admin.Create(t.Context(), ns))
	return ns.Name
}

func options(t *testing.T, namespace string) Options {
	t.Helper()
	return Options{Kubeconfig: kubeconfig(t, testEnv.Config), Namespace: namespace, Name: "witness", Cluster: witnesstest.Cluster}
}

func open(t *testing.T, o Options) witness.Device {
	t.Helper()
	d, err := Open(t.Context(), o)
	must(t, err)
	return d
}

func TestConformance(t *testing.T) {
	witnesstest.Run(t, func(t *testing.T) witnesstest.Open {
		o := options(t, namespace(t))
		return func(t *testing.T, _ model.NodeID) witness.Device { return open(t, o) }
	})
}

func get(t *testing.T, namespace string) *coordinationv1.Lease {
	t.Helper()
	l := &coordinationv1.Lease{}
	must(t, admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "witness"}, l))
	return l
}

// TestForPeople: the Lease says who holds it and when that was renewed last.
func TestForPeople(t *testing.T) {
	ns := namespace(t)
	d, me := open(t, options(t, ns)), witnesstest.Key(t, 7, 1)
	must(t, d.Register(t.Context(), me))
	must(t, d.Take(t.Context(), me, 0))
	first := get(t, ns)
	if h := first.Spec.HolderIdentity; h == nil || *h != "node-7" || first.Spec.RenewTime == nil || first.Spec.AcquireTime == nil {
		t.Errorf("the held Lease shows %+v", first.Spec)
	}
	_, err := d.Look(t.Context(), me)
	must(t, err)
	if second := get(t, ns); !second.Spec.RenewTime.After(first.Spec.RenewTime.Time) || !second.Spec.AcquireTime.Equal(first.Spec.AcquireTime) {
		t.Errorf("after a look the Lease shows %+v, before %+v", second.Spec, first.Spec)
	}
	must(t, d.Unregister(t.Context(), me))
	if h := get(t, ns).Spec.HolderIdentity; h == nil || *h != "" {
		t.Errorf("a free Lease shows the holder %v", h)
	}
}

// TestStatesTidied: of many states only the newest stays.
func TestStatesTidied(t *testing.T) {
	ns := namespace(t)
	d, me := open(t, options(t, ns)), witnesstest.Key(t, 7, 1)
	must(t, d.Register(t.Context(), me))
	must(t, d.Take(t.Context(), me, 0))
	for v := uint64(1); v <= 4; v++ {
		state := make([]byte, chunk+1)
		state[chunk] = byte(v)
		must(t, d.Save(t.Context(), me, witness.Content{ClusterID: witnesstest.Cluster, State: state, StateVersion: v}))
	}
	var list corev1.ConfigMapList
	must(t, admin.List(t.Context(), &list, client.InNamespace(ns), client.HasLabels{leaseLabel}))
	if len(list.Items) != 2 {
		t.Errorf("%d ConfigMaps are kept, want the two of the newest state", len(list.Items))
	}
}

func TestRefuses(t *testing.T) {
	me := witnesstest.Key(t, 7, 1)
	user, err := testEnv.AddUser(envtest.User{Name: "nobody-in-particular"}, nil)
	must(t, err)
	cases := map[string]struct {
		prepare func(t *testing.T, o *Options)
		want    error
		text    string
	}{
		"somebody's Lease": {func(t *testing.T, o *Options) {
			holder := "scheduler-1"
			must(t, admin.Create(t.Context(), &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder},
			}))
		}, witness.ErrInUse, "scheduler-1"},
		"another cluster's witness": {func(t *testing.T, o *Options) {
			other := *o
			other.Cluster++
			must(t, open(t, other).Register(t.Context(), me))
		}, witness.ErrForeign, "abcdef012345678a"},
		"no rights": {func(t *testing.T, o *Options) { o.Kubeconfig = kubeconfig(t, user.Config()) }, witness.ErrRefused, "configmaps"},
		"no credential": {func(t *testing.T, o *Options) {
			anonymous := rest.AnonymousClientConfig(testEnv.Config)
			anonymous.CAData = testEnv.Config.CAData
			o.Kubeconfig = kubeconfig(t, anonymous)
		}, witness.ErrRefused, "witness"},
		"no namespace": {func(_ *testing.T, o *Options) { o.Namespace = "gone" }, witness.ErrAbsent, "make the namespace"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := options(t, namespace(t))
			tc.prepare(t, &o)
			err := open(t, o).Register(t.Context(), me)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v that says %q", err, tc.want, tc.text)
			}
		})
	}
}

// TestDeleted: a Lease that was deleted is another witness when it is there again.
func TestDeleted(t *testing.T) {
	ns := namespace(t)
	d, me := open(t, options(t, ns)), witnesstest.Key(t, 7, 1)
	must(t, d.Register(t.Context(), me))
	must(t, d.Take(t.Context(), me, 0))
	before, err := d.Look(t.Context(), me)
	must(t, err)
	must(t, d.Save(t.Context(), me, witness.Content{ClusterID: witnesstest.Cluster, Committed: quorum.NewRecord(3, 1, []model.NodeID{7})}))
	must(t, admin.Delete(t.Context(), get(t, ns)))
	st, err := d.Look(t.Context(), me)
	must(t, err)
	if st.ID != 0 || st.Holder != 0 {
		t.Errorf("a deleted Lease reads %+v", st)
	}
	must(t, d.Register(t.Context(), me))
	must(t, d.Take(t.Context(), me, 0))
	if st, err = d.Look(t.Context(), me); err != nil || st.ID == before.ID || st.ID == 0 {
		t.Errorf("the new Lease has identity %x (%v), the old one had %x", st.ID, err, before.ID)
	}
}

// TestUnreachable: an API server that answers nothing holds nobody longer than the context allows.
func TestUnreachable(t *testing.T) {
	o := options(t, namespace(t))
	o.Kubeconfig = []byte(strings.Replace(string(o.Kubeconfig), "https://127.0.0.1", "https://192.0.2.1", 1))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := open(t, o).Look(ctx, witnesstest.Key(t, 7, 1)); !errors.Is(err, witness.ErrUnreachable) {
		t.Errorf("got %v, want %v", err, witness.ErrUnreachable)
	}
}
