package dnsupdate

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/quorate/quorate/pkg/dnsupdate/dnsupdatetest"
)

// TestBIND has the whole life of a name on a real server.
func TestBIND(t *testing.T) {
	port, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	address := port.LocalAddr().String()
	must(t, port.Close())
	b := dnsupdatetest.NewBIND(t, address, "key", secret, "example.org", "2.0.192.in-addr.arpa")
	b.Start(t)
	c := &Client{Server: address, Key: key}
	publish(t, c, entry(t, v4, v6), first)
	if publish(t, c, entry(t, v6, v4), first) {
		t.Error("what is so already was written again")
	}
	want := func(rrtype uint16, values ...string) {
		t.Helper()
		if got := b.Values(t, full, rrtype); !slices.Equal(got, values) {
			t.Errorf("the name has %v, want %v\n%s", got, values, b.Log())
		}
	}
	want(dns.TypeA, "192.0.2.7")
	want(dns.TypeAAAA, "2001:db8::7")
	publish(t, c, entry(t, netip.MustParseAddr("192.0.2.8")), second)
	want(dns.TypeA, "192.0.2.8")
	want(dns.TypeAAAA)
	must(t, remove(c, t, entry(t, v4, v6), first))
	want(dns.TypeA, "192.0.2.8")
	var newer *NewerError
	if _, err := c.Publish(t.Context(), entry(t, v4), first, yes); !errors.As(err, &newer) {
		t.Errorf("Publish() of the earlier owner = %v", err)
	}

	zone, found, err := c.ReverseZone(t.Context(), v4)
	if err != nil || !found {
		t.Fatalf("ReverseZone() = %q, %v, %v", zone, found, err)
	}
	pointer, err := Pointer(v4, zone, full, 30)
	must(t, err)
	publish(t, c, pointer, second)
	if got := b.Values(t, "7.2.0.192.in-addr.arpa.", dns.TypePTR); !slices.Equal(got, []string{full}) {
		t.Errorf("the address has the names %v", got)
	}
	if _, found, err = c.ReverseZone(t.Context(), netip.MustParseAddr("198.51.100.1")); err != nil || found {
		t.Errorf("ReverseZone() of an address that the server does not know = %v, %v", found, err)
	}

	must(t, remove(c, t, entry(t, netip.MustParseAddr("192.0.2.8")), second))
	want(dns.TypeA)
	if left := b.Values(t, "_quorate."+full, dns.TypeTXT); left != nil {
		t.Errorf("the mark is left: %v", left)
	}

	// What it refuses, in its own words.
	for text, client := range map[string]*Client{
		"the updates are not signed":      {Server: address},
		`does not know the key "another"`: {Server: address, Key: &Key{Name: "another.", Algorithm: dns.HmacSHA256, Secret: secret}},
		`the secret of the key "key"`:     {Server: address, Key: &Key{Name: "key.", Algorithm: dns.HmacSHA256, Secret: "d3Jvbmc="}},
	} {
		if _, err := client.Publish(t.Context(), entry(t, v4), second, yes); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Publish() = %v, want %q", err, text)
		}
	}
}
