// Package controlplane runs real etcds and kube-apiservers, with client certificates, RBAC and admission on: one of each on a host of their
// own, or on hosts of the cluster, where they die with their host.
package controlplane

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/quorate/quorate/test/lab/pki"
)

// Port is that of every API server.
const Port = "6443"

// admin is only for the lab's own set-up: kinds, roles and policies. Nobody else is a member of system:masters.
var admin = pki.Identity{User: "lab-setup", Groups: []string{"system:masters"}}

// Server is a host with an API server and an etcd member.
type Server struct {
	// Host is its name, IP its address on the management network.
	Host, IP string
}

// URL is where hosts reach the API server.
func (s *Server) URL() string { return s.url(Port) }

// ControlPlane knows how to run and reach the API servers.
type ControlPlane struct {
	dir, assetDir string
	onHosts       bool
	servers       []Server
	binaries      map[string]string // by name: the files that the links in assetDir lead to
	api, etcd     *http.Client
}

// New writes keys, certificates and the kubeconfig for the set-up into dir and checks that assetDir holds the binaries. With onHosts the
// servers are on hosts that die, and their etcds are members of one cluster.
func New(authority *pki.Authority, assetDir, dir string, servers []Server, onHosts bool) (*ControlPlane, error) {
	c := &ControlPlane{dir: dir, assetDir: assetDir, onHosts: onHosts, servers: servers, binaries: map[string]string{}}
	for _, name := range []string{Etcd, APIServer, "kubectl"} {
		path, err := filepath.EvalSymlinks(filepath.Join(assetDir, name))
		if err != nil {
			return nil, fmt.Errorf("control plane: %w: build it with make controlplane", err)
		}
		c.binaries[name] = path
	}
	// Who may speak to etcd may do anything, so its certificates are not of the API's authority.
	etcdAuthority, err := pki.NewAuthority("quorate-lab-etcd")
	if err != nil {
		return nil, err
	}
	if err := c.writeKeys(authority, etcdAuthority); err != nil {
		return nil, err
	}
	if err := authority.WriteKubeconfig(c.AdminKubeconfig(), c.URLs(""), admin); err != nil {
		return nil, err
	}
	if c.api, err = newClient(authority, admin); err != nil {
		return nil, err
	}
	c.etcd, err = newClient(etcdAuthority, admin)
	return c, err
}

// writeKeys writes what the servers need. All have the same certificate, which names each of them.
func (c *ControlPlane) writeKeys(authority, etcdAuthority *pki.Authority) error {
	names := []string{"127.0.0.1", "::1", "localhost"}
	for _, s := range c.servers {
		names = append(names, s.IP)
	}
	server, err := authority.Server("kube-apiserver", append(names, "kubernetes.default.svc")...)
	if err != nil {
		return err
	}
	member, err := etcdAuthority.Peer("etcd", names...)
	if err != nil {
		return err
	}
	tokens, err := pki.ServiceAccountKey()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"ca.crt": authority.PEM(), "apiserver.crt": server.Cert, "apiserver.key": server.Key, "sa.key": tokens,
		"etcd-ca.crt": etcdAuthority.PEM(), "etcd.crt": member.Cert, "etcd.key": member.Key,
	}
	if err := os.MkdirAll(c.keyDir(), 0o700); err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(c.keyDir(), name), content, 0o600); err != nil {
			return fmt.Errorf("control plane: %w", err)
		}
	}
	return nil
}

// newClient makes the client of an identity.
func newClient(authority *pki.Authority, id pki.Identity) (*http.Client, error) {
	pair, err := authority.Client(id)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	return &http.Client{
		Timeout: time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12},
			// Every question is asked anew: a connection that outlived the server's end would tell nothing.
			DisableKeepAlives: true,
		},
	}, nil
}

// keyDir is what the servers see of the keys.
func (c *ControlPlane) keyDir() string { return filepath.Join(c.dir, "keys") }

// AdminKubeconfig is for the lab's own set-up.
func (c *ControlPlane) AdminKubeconfig() string { return filepath.Join(c.dir, "admin.kubeconfig") }

// Kubectl is the path of kubectl.
func (c *ControlPlane) Kubectl() string { return filepath.Join(c.assetDir, "kubectl") }

// OnHosts says that the servers are on hosts that die.
func (c *ControlPlane) OnHosts() bool { return c.onHosts }

// Servers are the hosts with an API server, in order.
func (c *ControlPlane) Servers() []Server { return c.servers }

// URLs are where hosts reach the API servers; a host that has one names its own first.
func (c *ControlPlane) URLs(host string) []string {
	var urls []string
	for _, s := range c.servers {
		if s.Host == host {
			urls = append([]string{s.URL()}, urls...)
			continue
		}
		urls = append(urls, s.URL())
	}
	return urls
}

func (c *ControlPlane) server(host string) *Server {
	for i := range c.servers {
		if c.servers[i].Host == host {
			return &c.servers[i]
		}
	}
	return nil
}
