package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/dnsupdate/dnsupdatetest"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// trade is a group with a name: %[1]s is the DNS server's address, %[2]s the key's secret. The lab lets agents read a Secret of this name.
const trade = `
apiVersion: v1
kind: Secret
metadata: {name: lab-tsig, namespace: demo}
stringData: {name: trade-key, secret: %[2]s}
---
apiVersion: quorate.io/v1alpha1
kind: ResourceGroup
metadata: {name: trade, namespace: demo}
spec: {clusterName: demo, preferredOwners: [node-c, node-b, node-a]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: trade-ip, namespace: demo}
spec: {groupName: trade, type: IPAddress, ipAddress: {network: lan, address: 10.77.2.104/24}}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: trade-name, namespace: demo}
spec:
  groupName: trade
  type: NetworkName
  dependsOn: [{name: trade-ip}]
  networkName:
    name: trade
    dns: {server: %[1]s, zone: example.org, tsigSecretRef: {name: lab-tsig}}
    service: {ports: [{name: http, port: 8104}]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: trade-web, namespace: demo}
spec:
  groupName: trade
  type: GenericApplication
  dependsOn: [{name: trade-name}]
  genericApplication:
    command: [/opt/quorate/bin/quorate-visits, --listen, ":8104", --file, /tmp/visits]
    useNetworkName: true
`

// nameServer runs BIND on the clients' host.
func nameServer(t *testing.T, ctx context.Context, secret string) *dnsupdatetest.BIND {
	t.Helper()
	out, err := theLab.Exec(ctx, lab.Client, "ip", "-o", "-4", "addr")
	must(t, err)
	i := strings.Index(out, "10.77.2.")
	if i < 0 {
		t.Fatalf("the clients' host has no address on the network lan:\n%s", out)
	}
	address, _, _ := strings.Cut(out[i:], "/")
	pid, err := theLab.PID(lab.Client)
	must(t, err)
	b := dnsupdatetest.NewBIND(t, net.JoinHostPort(address, "53"), "trade-key", secret, "example.org", "2.77.10.in-addr.arpa")
	b.Prefix = []string{"nsenter", "--target", fmt.Sprint(pid), "--net", "--"}
	b.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return theLab.Dial(ctx, lab.Client, network, address)
	}
	b.Start(t)
	return b
}

// says waits until a name has these values and no others.
func says(t *testing.T, ctx context.Context, b *dnsupdatetest.BIND, name string, rrtype uint16, want ...string) {
	t.Helper()
	must(t, observe.Wait(ctx, 15*time.Second, fmt.Sprintf("%s %s is %v", name, dns.TypeToString[rrtype], want), func(context.Context) (bool, string, error) {
		got, err := b.Ask(name, rrtype)
		return err == nil && slices.Equal(got, want), fmt.Sprint(got, err), nil
	}))
}

// marked waits until the name is the present owner's: the mark bears the epoch of the group's assignment.
func marked(t *testing.T, ctx context.Context, b *dnsupdatetest.BIND, group string) {
	t.Helper()
	g, err := cluster.Group(ctx, group)
	must(t, err)
	want := fmt.Sprintf("%q", fmt.Sprintf("epoch=%d", g.Status.Assignment.Epoch))
	must(t, observe.Wait(ctx, 15*time.Second, "the mark has "+want, func(context.Context) (bool, string, error) {
		got, err := b.Ask("_quorate."+group+".example.org.", dns.TypeTXT)
		return err == nil && strings.Contains(fmt.Sprint(got), want), fmt.Sprint(got, err), nil
	}))
}

// leads waits until the Service of the name leads to these addresses.
func leads(t *testing.T, ctx context.Context, want ...string) {
	t.Helper()
	must(t, observe.Wait(ctx, 15*time.Second, fmt.Sprintf("the Service leads to %v", want), func(ctx context.Context) (bool, string, error) {
		var s corev1.Service
		if err := cluster.Get(ctx, client.ObjectKey{Namespace: "demo", Name: "trade"}, &s); err != nil || len(s.Spec.Selector) > 0 {
			return false, fmt.Sprintf("%v, selector %v", err, s.Spec.Selector), nil
		}
		var list discoveryv1.EndpointSliceList
		if err := cluster.List(ctx, &list, client.InNamespace("demo"), client.MatchingLabels{discoveryv1.LabelServiceName: "trade"}); err != nil {
			return false, "", err
		}
		var got []string
		for _, slice := range list.Items {
			for _, e := range slice.Endpoints {
				got = append(got, e.Addresses...)
			}
		}
		return slices.Equal(got, want), fmt.Sprint(got), nil
	}))
}

// registered waits until the resource says so of its name, or says that it is not, with the words.
func registered(t *testing.T, ctx context.Context, well bool, words string) {
	t.Helper()
	must(t, observe.Wait(ctx, 15*time.Second, fmt.Sprintf("Registered is %t: %s", well, words), func(ctx context.Context) (bool, string, error) {
		var r v1alpha1.Resource
		if err := cluster.Get(ctx, client.ObjectKey{Namespace: "demo", Name: "trade-name"}, &r); err != nil {
			return false, "", err
		}
		c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ResourceConditionRegistered)
		return c != nil && meta.IsStatusConditionTrue(r.Status.Conditions, c.Type) == well && strings.Contains(c.Message, words), fmt.Sprintf("%+v", c), nil
	}))
}

// A name in a real BIND, which takes signed updates alone, follows its group over a move and a power cut, and at no moment does a client learn that
// there is no such name. With the server dead the next power cut is no longer than the first. What is given up is gone.
func TestNetworkName(t *testing.T) {
	ctx := begin(t)
	secret := base64.StdEncoding.EncodeToString([]byte("the secret of the lab's zone"))
	b := nameServer(t, ctx, secret)
	const full, reverse = "trade.example.org.", "104.2.77.10.in-addr.arpa."
	s := site{group: "trade", url: "http://10.77.2.104:8104/", address: "10.77.2.104", home: "node-c"}
	all := objects(t, fmt.Sprintf(trade, b.Address, secret))
	for _, object := range all {
		must(t, cluster.Create(ctx, object))
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recovery)
		defer cancel()
		for _, object := range all[1:] {
			must(t, client.IgnoreNotFound(cluster.Delete(ctx, object)))
		}
		nothingLeft(t, ctx, s.address, "/none", hosts...)
		if !t.Failed() { // the name is gone with the resource; for that the key is needed
			says(t, ctx, b, full, dns.TypeA)
			says(t, ctx, b, "_quorate."+full, dns.TypeTXT)
			says(t, ctx, b, "105.2.77.10.in-addr.arpa.", dns.TypePTR)
			err := cluster.Get(ctx, client.ObjectKey{Namespace: "demo", Name: "trade"}, &corev1.Service{})
			if client.IgnoreNotFound(err) != nil || err == nil {
				t.Errorf("the Service is left: %v", err)
			}
		}
		for _, object := range all[:1] {
			must(t, client.IgnoreNotFound(cluster.Delete(ctx, object)))
		}
	})
	must(t, cluster.WaitOnline(ctx, recovery, s.group, s.home))
	says(t, ctx, b, full, dns.TypeA, "10.77.2.104")
	says(t, ctx, b, reverse, dns.TypePTR, full)
	leads(t, ctx, "10.77.2.104")
	registered(t, ctx, true, "trade.example.org is kept in DNS by node-c")
	if v := ask(t, ctx, s); v.Host != "trade" {
		t.Errorf("the process has the host name %q, want that of its network name", v.Host)
	}

	missed := watchName(t, b, full)
	must(t, cluster.Move(ctx, recovery, s.group, "node-b"))
	marked(t, ctx, b, s.group)
	first := cut(t, ctx, s, "node-b")
	marked(t, ctx, b, s.group)
	leads(t, ctx, "10.77.2.104")
	time.Sleep(6 * time.Second) // longer than any owner waits before it removes what it had
	if n := missed(); n > 0 {
		t.Errorf("%d times a client was told that there is no such name", n)
	}

	g, err := cluster.Group(ctx, s.group)
	must(t, err)
	b.Stop()
	second := cut(t, ctx, s, g.Status.Assignment.Node)
	t.Logf("clients waited %s with a DNS server, %s without", first, second)
	if second > first+time.Second {
		t.Errorf("the failover took %s with the DNS server dead, %s with it", second, first)
	}
	registered(t, ctx, false, "trade.example.org is not kept in DNS")
	b.Start(t)
	marked(t, ctx, b, s.group)
	registered(t, ctx, true, "is kept in DNS")

	var ip v1alpha1.Resource
	must(t, cluster.Get(ctx, client.ObjectKey{Namespace: "demo", Name: "trade-ip"}, &ip))
	before := ip.DeepCopy()
	ip.Spec.IPAddress.Address = "10.77.2.105/24"
	must(t, cluster.Patch(ctx, &ip, client.MergeFrom(before)))
	says(t, ctx, b, full, dns.TypeA, "10.77.2.105")
	says(t, ctx, b, reverse, dns.TypePTR)
	says(t, ctx, b, "105.2.77.10.in-addr.arpa.", dns.TypePTR, full)
	leads(t, ctx, "10.77.2.105")
}

// cut cuts the power of a host and starts it again when its group is online elsewhere. It returns how long clients waited.
func cut(t *testing.T, ctx context.Context, s site, host string) time.Duration {
	t.Helper()
	p := probe(t, ctx, s)
	_, err := theLab.Kill(ctx, host)
	must(t, err)
	movedFrom(t, ctx, s, host)
	time.Sleep(500 * time.Millisecond)
	report := stop(t, p)
	if len(report.Outages) != 1 {
		t.Fatalf("want one outage, got %+v", report.Outages)
	}
	must(t, theLab.Start(ctx, host))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, host))
	return report.Outages[0].Length
}

// watchName asks for a name again and again; the result is how often there was none.
func watchName(t *testing.T, b *dnsupdatetest.BIND, name string) func() int {
	t.Helper()
	end, missed := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for {
			select {
			case <-end:
				missed <- n
				return
			case <-time.After(20 * time.Millisecond):
			}
			if values, err := b.Ask(name, dns.TypeA); err == nil && len(values) == 0 {
				n++
			}
		}
	}()
	return func() int { close(end); return <-missed }
}
