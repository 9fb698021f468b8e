package controlplane

import (
	"fmt"
	"net"
	"strings"

	"github.com/quorate/quorate/test/lab/host"
)

// Names of the processes of a server.
const (
	Etcd      = "etcd"
	APIServer = "kube-apiserver"
)

// Where a server finds binaries, keys and its data.
const (
	assets = "/opt/quorate/controlplane"
	keys   = "/opt/quorate/keys"
	data   = "/var/lib/etcd"
)

// Ports of etcd.
const (
	etcdPort = "2379"
	peerPort = "2380"
)

// Of an etcd whose leader dies with its host, the others elect one of them within electionTimeout to twice that; etcd's manual wants ten times the
// heartbeat, and more than a round trip with its flush.
const (
	etcdHeartbeat   = "50"
	electionTimeout = "500"
)

// Binds are what a server's host needs to see of the machine, beside the data of etcd, which is the host's own.
func (c *ControlPlane) Binds() []host.Bind {
	return []host.Bind{
		{Source: c.keyDir(), Target: keys, ReadOnly: true},
		{Source: c.binaries[Etcd], Target: assets + "/" + Etcd, ReadOnly: true},
		{Source: c.binaries[APIServer], Target: assets + "/" + APIServer, ReadOnly: true},
	}
}

// DataBind shows a host its etcd member's data, which outlives its power cuts.
func DataBind(source string) host.Bind { return host.Bind{Source: source, Target: data} }

// Processes are what the host of a server runs. Those of a server with a host of its own start when the lab says so, and are not
// restarted. Those on hosts that die start with their host, if boot says so, and whenever they end.
func (c *ControlPlane) Processes(name string, boot bool) []host.Process {
	s := c.server(name)
	if s == nil {
		return nil
	}
	etcd, api := c.aloneEtcd(), []string{"--etcd-servers=http://127.0.0.1:" + etcdPort}
	if c.onHosts {
		etcd, api = c.memberEtcd(s), []string{
			"--etcd-servers=https://127.0.0.1:" + etcdPort,
			"--etcd-cafile=" + key("etcd-ca.crt"), "--etcd-certfile=" + key("etcd.crt"), "--etcd-keyfile=" + key("etcd.key"),
		}
	}
	api = append(api,
		"--bind-address=0.0.0.0", "--advertise-address="+s.IP, "--secure-port="+Port,
		"--tls-cert-file="+key("apiserver.crt"), "--tls-private-key-file="+key("apiserver.key"), "--cert-dir=/run/apiserver",
		"--client-ca-file="+key("ca.crt"), "--authorization-mode=RBAC", "--anonymous-auth=false",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key("sa.key"),
		"--service-account-signing-key-file="+key("sa.key"),
		"--service-cluster-ip-range=10.96.0.0/24", "--allow-privileged=true", "--endpoint-reconciler-type=none",
		"--profiling=false", "--v=1",
	)
	return []host.Process{
		{Name: Etcd, Args: append([]string{assets + "/" + Etcd}, etcd...), AutoStart: c.onHosts && boot, Restart: c.onHosts},
		{Name: APIServer, Args: append([]string{assets + "/" + APIServer}, api...), AutoStart: c.onHosts && boot, Restart: c.onHosts},
	}
}

func key(name string) string { return keys + "/" + name }

// aloneEtcd are the flags of an etcd whose host never dies: it has its data in memory and flushes nothing.
func (c *ControlPlane) aloneEtcd() []string {
	const client, peer = "http://127.0.0.1:" + etcdPort, "http://127.0.0.1:" + peerPort
	return []string{
		"--data-dir=/run/etcd", "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
	}
}

// memberEtcd are the flags of one of the members on hosts. They know each other by certificates of their own authority: those of the API's
// clients open nothing here.
func (c *ControlPlane) memberEtcd(s *Server) []string {
	var members []string
	for _, m := range c.servers {
		members = append(members, fmt.Sprintf("%s=%s", m.Host, m.url(peerPort)))
	}
	return []string{
		"--name=" + s.Host, "--data-dir=" + data, "--log-level=warn",
		"--heartbeat-interval=" + etcdHeartbeat, "--election-timeout=" + electionTimeout,
		"--listen-client-urls=https://127.0.0.1:" + etcdPort + "," + s.url(etcdPort), "--advertise-client-urls=" + s.url(etcdPort),
		"--listen-peer-urls=" + s.url(peerPort), "--initial-advertise-peer-urls=" + s.url(peerPort),
		"--initial-cluster=" + strings.Join(members, ","), "--initial-cluster-token=quorate-lab",
		"--client-cert-auth", "--trusted-ca-file=" + key("etcd-ca.crt"), "--cert-file=" + key("etcd.crt"), "--key-file=" + key("etcd.key"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + key("etcd-ca.crt"), "--peer-cert-file=" + key("etcd.crt"), "--peer-key-file=" + key("etcd.key"),
	}
}

func (s *Server) url(port string) string { return "https://" + net.JoinHostPort(s.IP, port) }
