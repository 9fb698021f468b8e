package main

import (
	"net"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// frozenAtWill is an address of the API server that falls silent when frozen is set, as one of a host without power does.
func frozenAtWill(t *testing.T, server string) (address string, frozen *atomic.Bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	frozen = &atomic.Bool{}
	t.Cleanup(func() { _ = l.Close() })
	pump := func(to, from net.Conn) {
		defer to.Close()
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			for frozen.Load() && t.Context().Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			if err != nil {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			other, err := net.Dial("tcp", server)
			if err != nil {
				_ = conn.Close()
				continue
			}
			go pump(conn, other)
			go pump(other, conn)
		}
	}()
	return l.Addr().String(), frozen
}

// TestAnotherAPIServer: the manager has two API servers, of which the one in use falls silent. It goes on watching and deciding over
// the other, and it leads all the time.
func TestAnotherAPIServer(t *testing.T) {
	content, err := env.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.Load(content)
	if err != nil {
		t.Fatal(err)
	}
	name := config.Contexts[config.CurrentContext].Cluster
	first, second := config.Clusters[name], config.Clusters[name].DeepCopy()
	real, err := url.Parse(second.Server)
	if err != nil {
		t.Fatal(err)
	}
	address, frozen := frozenAtWill(t, real.Host)
	first.Server = "https://" + address
	config.Clusters[name+"/2"] = second
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	if err := env.Admin.Create(t.Context(), controllertest.NewCluster("servers")); err != nil {
		t.Fatal(err)
	}
	start(t, kubeconfig, "node-s")
	eventually(t, 40*time.Second, "the manager leads", func() bool { return leads(t, "node-s") })
	enrol := func(name string, index int) time.Duration {
		if err := env.Admin.Create(t.Context(), controllertest.NewNode("servers", name, index)); err != nil {
			t.Fatal(err)
		}
		return eventually(t, 10*time.Second, name+" has an id", func() bool {
			var n v1alpha1.Node
			return env.Admin.Get(t.Context(), client.ObjectKey{Name: name}, &n) == nil && n.Status.ID != 0
		})
	}
	enrol("node-s1", 1)
	frozen.Store(true)
	defer frozen.Store(false)
	took := enrol("node-s2", 2)
	t.Logf("a new node had its id %s after the API server in use fell silent", took)
	if took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if !leads(t, "node-s") {
		t.Error("the manager lost the lead")
	}
}
