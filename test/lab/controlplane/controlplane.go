// Package controlplane runs a real etcd and kube-apiserver on the lab's API host, with client certificates, RBAC and admission on.
package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/quorate/quorate/test/lab/host"
	"github.com/quorate/quorate/test/lab/pki"
)

// Address is where hosts reach the API server, on the management network; Port is its port.
const (
	Address = "10.77.3.1"
	Port    = "6443"
)

// Names of the processes on the API host.
const (
	Etcd      = "etcd"
	APIServer = "kube-apiserver"
)

// Where the API host finds binaries and keys.
const (
	assets = "/opt/quorate/controlplane"
	keys   = "/opt/quorate/keys"
)

// Server is the API server's URL on the management network.
func Server() string { return "https://" + net.JoinHostPort(Address, Port) }

// admin is only for the lab's own set-up: kinds, roles and policies. Nobody else is a member of system:masters.
var admin = pki.Identity{User: "lab-setup", Groups: []string{"system:masters"}}

// ControlPlane knows how to run and reach the API server.
type ControlPlane struct {
	keyDir, assetDir string
	binaries         map[string]string // by name: the files that the links in assetDir lead to
	client           *http.Client
}

// New writes keys and certificates into keyDir and checks that assetDir holds the binaries.
func New(authority *pki.Authority, assetDir, keyDir string) (*ControlPlane, error) {
	binaries := map[string]string{}
	for _, name := range []string{Etcd, APIServer, "kubectl"} {
		path, err := filepath.EvalSymlinks(filepath.Join(assetDir, name))
		if err != nil {
			return nil, fmt.Errorf("control plane: %w: build it with make controlplane", err)
		}
		binaries[name] = path
	}
	server, err := authority.Server("kube-apiserver", Address, "127.0.0.1", "::1", "localhost", "kubernetes.default.svc")
	if err != nil {
		return nil, err
	}
	tokens, err := pki.ServiceAccountKey()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		"ca.crt": authority.PEM(), "apiserver.crt": server.Cert, "apiserver.key": server.Key, "sa.key": tokens,
	}
	if err := os.MkdirAll(keyDir, 0o700); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(keyDir, name), content, 0o600); err != nil {
			return nil, fmt.Errorf("control plane: %w", err)
		}
	}
	c := &ControlPlane{keyDir: keyDir, assetDir: assetDir, binaries: binaries}
	if err := authority.WriteKubeconfig(c.AdminKubeconfig(), Server(), admin); err != nil {
		return nil, err
	}
	return c, c.makeClient(authority)
}

func (c *ControlPlane) makeClient(authority *pki.Authority) error {
	pair, err := authority.Client(admin)
	if err != nil {
		return err
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	c.client = &http.Client{
		Timeout: time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12},
			// Every question is asked anew: a connection that outlived the server's end would tell nothing.
			DisableKeepAlives: true,
		},
	}
	return nil
}

// AdminKubeconfig is for the lab's own set-up.
func (c *ControlPlane) AdminKubeconfig() string { return filepath.Join(c.keyDir, "admin.kubeconfig") }

// Kubectl is the path of kubectl.
func (c *ControlPlane) Kubectl() string { return filepath.Join(c.assetDir, "kubectl") }

// Binds are what the API host needs to see of the machine.
func (c *ControlPlane) Binds() []host.Bind {
	return []host.Bind{
		{Source: c.keyDir, Target: keys, ReadOnly: true},
		{Source: c.binaries[Etcd], Target: assets + "/" + Etcd, ReadOnly: true},
		{Source: c.binaries[APIServer], Target: assets + "/" + APIServer, ReadOnly: true},
	}
}

// Processes are what the API host runs. They start when [ControlPlane.Start] says so, and are not restarted.
func (c *ControlPlane) Processes() []host.Process {
	key := func(name string) string { return filepath.Join(keys, name) }
	return []host.Process{
		{Name: Etcd, Args: []string{
			assets + "/etcd", "--data-dir=/run/etcd", "--unsafe-no-fsync", "--log-level=error",
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
			"--initial-cluster=default=http://127.0.0.1:2380",
		}},
		{Name: APIServer, Args: []string{
			assets + "/kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
			"--bind-address=0.0.0.0", "--advertise-address=" + Address, "--secure-port=" + Port,
			"--tls-cert-file=" + key("apiserver.crt"), "--tls-private-key-file=" + key("apiserver.key"), "--cert-dir=/run/apiserver",
			"--client-ca-file=" + key("ca.crt"), "--authorization-mode=RBAC", "--anonymous-auth=false",
			"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + key("sa.key"),
			"--service-account-signing-key-file=" + key("sa.key"),
			"--service-cluster-ip-range=10.96.0.0/24", "--allow-privileged=true", "--endpoint-reconciler-type=none",
			"--profiling=false", "--v=1",
		}},
	}
}

// Start starts etcd, waits for it, starts the API server and waits until it is ready.
func (c *ControlPlane) Start(ctx context.Context, m *host.Machine) error {
	if err := m.StartProcess(Etcd); err != nil {
		return err
	}
	if err := m.StartProcess(APIServer); err != nil {
		return err
	}
	return c.WaitReady(ctx, m)
}

// WaitReady waits until the API server says that it is ready. It gives up when one of the processes ends.
func (c *ControlPlane) WaitReady(ctx context.Context, m *host.Machine) error {
	var last error
	for {
		if last = c.Ready(ctx); last == nil {
			return nil
		}
		for _, p := range m.Processes() {
			if p.Wanted && p.PID == 0 {
				return fmt.Errorf("%s ended (%s): see its log", p.Name, p.LastExit)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready: %w", last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Ready asks the API server whether it is ready.
func (c *ControlPlane) Ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, Server()+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, body)
	}
	return nil
}

// Stop stops the API server, then etcd: in the other order the API server would not end.
func (c *ControlPlane) Stop(ctx context.Context, m *host.Machine) error {
	var errs []error
	for _, name := range []string{APIServer, Etcd} {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		errs = append(errs, m.StopProcess(limited, name))
		cancel()
	}
	return errors.Join(errs...)
}
