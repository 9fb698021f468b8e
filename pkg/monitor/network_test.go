package monitor

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// ClientNetwork says that the addresses of these tests need network lan, unless their spec says otherwise.
func (fakeAddress) ClientNetwork(spec json.RawMessage) string {
	if strings.Contains(string(spec), "Ignore") {
		return ""
	}
	return "lan"
}

func (b *bed) cutOff(network string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isolated = nil
	if network != "" {
		b.isolated = &resourcetype.NetworkLostError{Network: network, Message: "nobody is heard on " + network}
	}
}

// TestNetworkLost: an address whose network is lost fails, is not started again there, and asks for a failover that names the network.
func TestNetworkLost(t *testing.T) {
	b := newBed(t)
	b.online()
	b.cutOff("lan")
	r := b.eventually("asking for a failover", func(r GroupReport) bool { return r.Failover != nil })
	if r.Failover.Resource != "ip" || r.Failover.Network != "lan" || !strings.Contains(r.Failover.Message, "NetworkLost: nobody is heard on lan") {
		t.Errorf("it asks with %+v", r.Failover)
	}
	if _, starts := b.host.count("ip"); starts != 1 {
		t.Errorf("the address was started %d times, on a network that is lost", starts)
	}
	i := slices.IndexFunc(r.Resources, func(x lifecycle.ResourceReport) bool { return x.Name == "ip" })
	if r.Resources[i].Reason != lifecycle.ReasonNetworkLost {
		t.Errorf("the address is %s for %s", r.Resources[i].State, r.Resources[i].Reason)
	}
}

// TestNetworkLostIgnored: it can be told to stay while it is online, without a restart, and the other way round.
func TestNetworkLostIgnored(t *testing.T) {
	b := newBed(t)
	b.online()
	d := desired(1, true)
	d.Resources[1].Spec = json.RawMessage(`{"type":"Address","p":{"v":1},"ipAddress":{"whenIsolated":"Ignore"},"restart":{"threshold":3}}`)
	plain := desired(1, true)
	plain.Resources[1].Spec = json.RawMessage(`{"type":"Address","p":{"v":1},"ipAddress":{},"restart":{"threshold":3}}`)
	b.apply(plain)
	b.eventually("restarted with a parameter", func(r GroupReport) bool { _, n := b.host.count("ip"); return n == 2 && isOnline(r) })
	b.apply(d)
	b.cutOff("lan")
	time.Sleep(2 * isolationInterval)
	if r := b.report(); !isOnline(r) || r.Resources[1].Restarts != 0 {
		t.Errorf("what is to ignore it has failed: %+v", r)
	}
	b.apply(plain)
	b.eventually("asking for a failover", func(r GroupReport) bool { return r.Failover != nil })
	if _, starts := b.host.count("ip"); starts != 2 {
		t.Errorf("the address was started %d times", starts)
	}
}
