package controlplane

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/apiservers"
	"github.com/quorate/quorate/test/lab/pki"
)

// newControlPlane makes a control plane of files that are never run.
func newControlPlane(t *testing.T, onHosts bool, servers ...Server) (*ControlPlane, *pki.Authority) {
	t.Helper()
	assets := t.TempDir()
	for _, name := range []string{Etcd, APIServer, "kubectl"} {
		if err := os.WriteFile(filepath.Join(assets, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	authority, err := pki.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(authority, assets, t.TempDir(), servers, onHosts)
	if err != nil {
		t.Fatal(err)
	}
	return c, authority
}

var three = []Server{{Host: "node-a", IP: "10.77.3.11"}, {Host: "node-b", IP: "10.77.3.12"}, {Host: "node-c", IP: "10.77.3.13"}}

// TestOnHosts: what dies with its host comes up with it, keeps its data on the host's disk and flushes it.
func TestOnHosts(t *testing.T) {
	c, _ := newControlPlane(t, true, three...)
	for _, boot := range []bool{true, false} {
		for _, p := range c.Processes("node-b", boot) {
			if p.AutoStart != boot || !p.Restart {
				t.Errorf("%s: starts by itself: %t (want %t), again: %t", p.Name, p.AutoStart, boot, p.Restart)
			}
			text := strings.Join(p.Args, " ")
			if strings.Contains(text, "fsync") || strings.Contains(text, "http://") {
				t.Errorf("%s flushes nothing, or speaks in clear: %s", p.Name, text)
			}
		}
	}
	etcd := c.Processes("node-b", true)[0].Args
	for _, want := range []string{
		"--name=node-b", "--data-dir=/var/lib/etcd", "--initial-advertise-peer-urls=https://10.77.3.12:2380",
		"--initial-cluster=node-a=https://10.77.3.11:2380,node-b=https://10.77.3.12:2380,node-c=https://10.77.3.13:2380",
	} {
		if !slices.Contains(etcd, want) {
			t.Errorf("etcd lacks %s: %q", want, etcd)
		}
	}
	if got := c.Processes("node-d", true); got != nil {
		t.Errorf("a host without a server runs %v", got)
	}
}

// TestAlone: the API server of a host of its own starts when the lab says so.
func TestAlone(t *testing.T) {
	c, _ := newControlPlane(t, false, Server{Host: "api", IP: "10.77.3.1"})
	for _, p := range c.Processes("api", true) {
		if p.AutoStart || p.Restart {
			t.Errorf("%s starts by itself", p.Name)
		}
	}
}

// TestKubeconfig: a host with a server has its own first, and clients find all of them in what is written.
func TestKubeconfig(t *testing.T) {
	c, authority := newControlPlane(t, true, three...)
	for host, want := range map[string]string{
		"node-c": "10.77.3.13:6443 10.77.3.11:6443 10.77.3.12:6443",
		"node-d": "10.77.3.11:6443 10.77.3.12:6443 10.77.3.13:6443",
	} {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		if err := authority.WriteKubeconfig(path, c.URLs(host), pki.Identity{User: "quorate:agent:" + host}); err != nil {
			t.Fatal(err)
		}
		servers, err := apiservers.Load(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(servers.Hosts(), " "); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v: a private key", info, err)
		}
	}
}

// TestCertificates: each server has every server's address, and who is a client of the API is nobody to etcd.
func TestCertificates(t *testing.T) {
	c, authority := newControlPlane(t, true, three...)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	for _, s := range three {
		if _, err := read(t, c, "apiserver.crt").Verify(x509.VerifyOptions{DNSName: s.IP, Roots: roots}); err != nil {
			t.Errorf("the certificate of the API servers: %v", err)
		}
		if err := read(t, c, "etcd.crt").VerifyHostname(s.IP); err != nil {
			t.Errorf("the certificate of etcd: %v", err)
		}
	}
	if _, err := read(t, c, "etcd.crt").Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("the authority of the API's clients signs for etcd too")
	}
	if content, err := os.ReadDir(c.keyDir()); err != nil || slices.ContainsFunc(content, func(e os.DirEntry) bool { return strings.Contains(e.Name(), "kubeconfig") }) {
		t.Errorf("hosts see the administrator's kubeconfig: %v, %v", content, err)
	}
}

func read(t *testing.T, c *ControlPlane, name string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(c.keyDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
