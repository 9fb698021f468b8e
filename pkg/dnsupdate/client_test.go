package dnsupdate

import (
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/quorate/quorate/pkg/dnsupdate/dnsupdatetest"
)

var (
	secret = base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes, ok"))
	keys   = map[string]string{"key.": secret}
	key    = &Key{Name: "key.", Algorithm: dns.HmacSHA256, Secret: secret}
	v4, v6 = netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	first  = Mark{Cluster: "c1", Group: "g", UID: "u", Resource: "shop/name", Epoch: 4, Start: 1}
	second = Mark{Cluster: "c1", Group: "g", UID: "u", Resource: "shop/name", Epoch: 6, Start: 2}
)

const full = "sales.example.org."

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func entry(t *testing.T, addresses ...netip.Addr) *Entry {
	t.Helper()
	e, err := Addresses("sales", "example.org", 30, addresses)
	must(t, err)
	return e
}

func yes() error { return nil }

// says fails unless the server has these addresses for the name, and a mark if there are any.
func says(t *testing.T, s *dnsupdatetest.Server, want ...string) {
	t.Helper()
	got := append(s.Values(full, dns.TypeA), s.Values(full, dns.TypeAAAA)...)
	if !slices.Equal(got, want) {
		t.Errorf("the name has %v, want %v", got, want)
	}
}

func publish(t *testing.T, c *Client, e *Entry, m Mark) bool {
	t.Helper()
	changed, err := c.Publish(t.Context(), e, m, yes)
	must(t, err)
	return changed
}

// TestLife takes a name from one owner to the next and away.
func TestLife(t *testing.T) {
	for name, with := range map[string]*Key{"signed": key, "not signed": nil} {
		t.Run(name, func(t *testing.T) {
			accepted := keys
			if with == nil {
				accepted = nil
			}
			s := dnsupdatetest.Start(t, []string{"example.org"}, accepted)
			c := &Client{Server: s.Address, Key: with}
			if !publish(t, c, entry(t, v4, v6), first) || publish(t, c, entry(t, v6, v4), first) {
				t.Error("the first time nothing was written, or the second time something was")
			}
			says(t, s, "192.0.2.7", "2001:db8::7")
			other := netip.MustParseAddr("192.0.2.8")
			publish(t, c, entry(t, other), second)
			says(t, s, "192.0.2.8")

			// What the earlier owner does too late.
			removed, err := c.Withdraw(t.Context(), entry(t, v4, v6), first)
			if err != nil || removed {
				t.Errorf("Withdraw() of the earlier owner = %v, %v", removed, err)
			}
			var newer *NewerError
			if _, err := c.Publish(t.Context(), entry(t, v4), first, yes); !errors.As(err, &newer) || newer.By != second {
				t.Errorf("Publish() of the earlier owner = %v", err)
			}
			says(t, s, "192.0.2.8")

			removed, err = c.Withdraw(t.Context(), entry(t, other), second)
			if err != nil || !removed {
				t.Errorf("Withdraw() = %v, %v", removed, err)
			}
			says(t, s)
			if left := s.Values("_quorate."+full, dns.TypeTXT); left != nil {
				t.Errorf("the mark is left: %v", left)
			}
			if removed, err = c.Withdraw(t.Context(), entry(t, other), second); err != nil || removed {
				t.Errorf("Withdraw() a second time = %v, %v", removed, err)
			}
		})
	}
}

// TestSameAddress: on a move the address is the same, and yet the earlier owner removes nothing.
func TestSameAddress(t *testing.T) {
	s := dnsupdatetest.Start(t, []string{"example.org"}, nil)
	c := &Client{Server: s.Address}
	publish(t, c, entry(t, v4), first)
	publish(t, c, entry(t, v4), second)
	if removed, err := c.Withdraw(t.Context(), entry(t, v4), first); err != nil || removed {
		t.Errorf("Withdraw() = %v, %v", removed, err)
	}
	says(t, s, "192.0.2.7")
}

// TestRace: the name is changed between the look and the update; the update is refused by the server itself.
func TestRace(t *testing.T) {
	s := dnsupdatetest.Start(t, []string{"example.org"}, nil)
	c := &Client{Server: s.Address}
	publish(t, c, entry(t, v4), first)
	var armed atomic.Bool
	armed.Store(true)
	race := func() {
		if !armed.CompareAndSwap(true, false) {
			return
		}
		if _, err := (&Client{Server: s.Address}).Publish(t.Context(), entry(t, v6), second, yes); err != nil {
			t.Error(err)
		}
	}
	s.Set(dnsupdatetest.Faults{Before: race})
	if removed, err := c.Withdraw(t.Context(), entry(t, v4), first); err != nil || removed {
		t.Errorf("Withdraw() = %v, %v", removed, err)
	}
	says(t, s, "2001:db8::7")

	third := second
	third.Epoch = 5 // later than the first, earlier than the second
	s.Set(dnsupdatetest.Faults{})
	must(t, remove(c, t, entry(t, v6), second))
	publish(t, c, entry(t, v4), first)
	armed.Store(true)
	s.Set(dnsupdatetest.Faults{Before: race})
	var newer *NewerError
	if _, err := c.Publish(t.Context(), entry(t, v4), third, yes); !errors.As(err, &newer) {
		t.Errorf("Publish() = %v", err)
	}
	says(t, s, "2001:db8::7")
}

func remove(c *Client, t *testing.T, e *Entry, m Mark) error {
	_, err := c.Withdraw(t.Context(), e, m)
	return err
}

// TestTaken: what is somebody else's is left alone, and named.
func TestTaken(t *testing.T) {
	foreign := first
	foreign.Cluster = "c2"
	for name, tc := range map[string]struct {
		lines []string
		mark  *Mark
		want  string
	}{
		"another address": {[]string{full + " 60 IN A 192.0.2.99"}, nil, "A record 192.0.2.99"},
		"an alias":        {[]string{full + " 60 IN CNAME www.example.org."}, nil, "alias (CNAME) of www.example.org"},
		"another cluster": {nil, &foreign, "Resource shop/name of cluster c2"},
		"a strange mark":  {[]string{"_quorate." + full + ` 60 IN TXT "hello"`}, nil, "its mark is not Quorate's"},
		"two marks":       {[]string{"_quorate." + full + ` 60 IN TXT "a"`, "_quorate." + full + ` 60 IN TXT "b"`}, nil, "its mark is not Quorate's"},
	} {
		t.Run(name, func(t *testing.T) {
			s := dnsupdatetest.Start(t, []string{"example.org"}, nil)
			s.Add(t, tc.lines...)
			c := &Client{Server: s.Address}
			if tc.mark != nil {
				publish(t, c, entry(t, netip.MustParseAddr("192.0.2.99")), *tc.mark)
			}
			before := s.Updates()
			var taken *TakenError
			if _, err := c.Publish(t.Context(), entry(t, v4), first, yes); !errors.As(err, &taken) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Publish() = %v, want %q", err, tc.want)
			}
			if s.Updates() != before {
				t.Error("something was changed")
			}
		})
	}
	// What is just as it should be is taken over; of an earlier resource of the same cluster, too.
	s := dnsupdatetest.Start(t, []string{"example.org"}, nil)
	s.Add(t, full+" 60 IN A 192.0.2.7")
	c := &Client{Server: s.Address}
	publish(t, c, entry(t, v4), first)
	again := first
	again.UID, again.Epoch = "another", 1
	publish(t, c, entry(t, v6), again)
	says(t, s, "2001:db8::7")
}

// TestNotAllowed: a node that may not act any more sends no change.
func TestNotAllowed(t *testing.T) {
	s := dnsupdatetest.Start(t, []string{"example.org"}, nil)
	denied := errors.New("no quorum")
	if _, err := (&Client{Server: s.Address}).Publish(t.Context(), entry(t, v4), first, func() error { return denied }); !errors.Is(err, denied) {
		t.Errorf("Publish() = %v", err)
	}
	if s.Updates() != 0 {
		t.Error("something was changed")
	}
}

// TestRefusals: each way in which a server says no ends in a sentence that says what to do.
func TestRefusals(t *testing.T) {
	other := &Key{Name: "other.", Algorithm: dns.HmacSHA256, Secret: secret}
	wrong := &Key{Name: "key.", Algorithm: dns.HmacSHA256, Secret: base64.StdEncoding.EncodeToString([]byte("not the secret"))}
	for name, tc := range map[string]struct {
		faults dnsupdatetest.Faults
		key    *Key
		want   string
	}{
		"no key":              {key: nil, want: "the updates are not signed: name the Secret"},
		"unknown key":         {key: other, want: `does not know the key "other"`},
		"wrong secret":        {key: wrong, want: `the secret of the key "key" is not the server's`},
		"refused":             {faults: dnsupdatetest.Faults{Rcode: dns.RcodeRefused}, key: key, want: "let it take updates of A, AAAA and TXT below the zone example.org"},
		"not primary":         {faults: dnsupdatetest.Faults{Rcode: dns.RcodeNotAuth}, key: key, want: "not the primary server of the zone example.org"},
		"failure":             {faults: dnsupdatetest.Faults{Rcode: dns.RcodeServerFailure}, key: key, want: "BIND must be able to write the zone's file"},
		"another zone":        {faults: dnsupdatetest.Faults{Rcode: dns.RcodeNotZone}, key: key, want: "correct dns.zone"},
		"questions refused":   {faults: dnsupdatetest.Faults{QueryRcode: dns.RcodeRefused}, key: key, want: "let this host ask it for the zone"},
		"a forwarder":         {faults: dnsupdatetest.Faults{Lame: true}, key: key, want: "not the primary server"},
		"answers not signed":  {faults: dnsupdatetest.Faults{Unsigned: true}, key: key, want: "is not signed although"},
		"does not answer":     {faults: dnsupdatetest.Faults{Silent: true}, key: key, want: "timeout"},
		"an unknown response": {faults: dnsupdatetest.Faults{Rcode: 14}, key: key, want: "code 14"},
	} {
		t.Run(name, func(t *testing.T) {
			s := dnsupdatetest.Start(t, []string{"example.org"}, keys)
			s.Set(tc.faults)
			c := &Client{Server: s.Address, Key: tc.key, Timeout: 200 * time.Millisecond}
			_, err := c.Publish(t.Context(), entry(t, v4), first, yes)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Publish() = %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Error("the error shows the secret")
			}
			says(t, s)
		})
	}
}

// TestDeadServer: a port where nobody is costs no more than the timeout.
func TestDeadServer(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	must(t, conn.Close())
	start := time.Now()
	if _, err := (&Client{Server: conn.LocalAddr().String(), Timeout: time.Second}).Publish(t.Context(), entry(t, v4), first, yes); err == nil {
		t.Error("Publish() to nobody succeeded")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestTruncated: what does not fit into a datagram is asked for over TCP.
func TestTruncated(t *testing.T) {
	s := dnsupdatetest.Start(t, []string{"example.org"}, keys)
	s.Set(dnsupdatetest.Faults{Truncate: true})
	c := &Client{Server: s.Address, Key: key}
	publish(t, c, entry(t, v4), first)
	if publish(t, c, entry(t, v4), first) {
		t.Error("what was asked over TCP was not understood")
	}
}

func TestReverse(t *testing.T) {
	s := dnsupdatetest.Start(t, []string{"example.org", "2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"}, keys)
	c := &Client{Server: s.Address, Key: key}
	for address, want := range map[netip.Addr]string{v4: "2.0.192.in-addr.arpa.", v6: "8.b.d.0.1.0.0.2.ip6.arpa.", netip.MustParseAddr("198.51.100.1"): ""} {
		zone, found, err := c.ReverseZone(t.Context(), address)
		if err != nil || found != (want != "") || zone != want {
			t.Errorf("ReverseZone(%s) = %q, %v, %v", address, zone, found, err)
		}
	}
	e, err := Pointer(v4, "2.0.192.in-addr.arpa", full, 30)
	must(t, err)
	publish(t, c, e, first)
	if got := s.Values("7.2.0.192.in-addr.arpa.", dns.TypePTR); !slices.Equal(got, []string{full}) {
		t.Errorf("the address has the names %v", got)
	}
	must(t, remove(c, t, e, first))
	if got := s.Values("7.2.0.192.in-addr.arpa.", dns.TypePTR); got != nil {
		t.Errorf("the address still has the names %v", got)
	}
}

func TestMark(t *testing.T) {
	long := first
	long.Resource = strings.Repeat("n", 63) + "/" + strings.Repeat("r", 253)
	for _, m := range []Mark{first, second, long} {
		for _, text := range m.strings() {
			if len(text) > 255 {
				t.Errorf("%d bytes in one string", len(text))
			}
		}
		got, err := ParseMark(m.strings())
		m.Resource = m.Resource[:min(len(m.Resource), 240)]
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("ParseMark() = %+v, %v, want %+v", got, err, m)
		}
	}
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5353": "192.0.2.1:5353", "2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53",
		"[2001:db8::1]:54": "[2001:db8::1]:54", "ns1.example.org": "ns1.example.org:53", "ns1:54": "ns1:54",
		"": "", "ns 1": "", "ns1:0": "", "ns1:99999": "", "[::1": "", ":53": "", "ns1:dns": "", "https://ns1": "", "a..b": "",
	} {
		got, err := ParseServer(text)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("ParseServer(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestParseKey(t *testing.T) {
	data := func(values ...string) map[string][]byte {
		m := map[string][]byte{}
		for i := 0; i < len(values); i += 2 {
			m[values[i]] = []byte(values[i+1])
		}
		return m
	}
	got, err := ParseKey(data("name", "Key\n", "secret", secret+"\n"))
	if err != nil || *got != *key {
		t.Errorf("ParseKey() = %+v, %v", got, err)
	}
	if got, err = ParseKey(data("name", "key", "secret", secret, "algorithm", "HMAC-SHA512")); err != nil || got.Algorithm != dns.HmacSHA512 {
		t.Errorf("ParseKey() = %+v, %v", got, err)
	}
	for want, d := range map[string]map[string][]byte{
		`no data key "secret"`: data("name", "k"), `no data key "name"`: data("secret", secret), "is not base64": data("name", "k", "secret", "!!!"),
		"is not one of": data("name", "k", "secret", secret, "algorithm", "hmac-md5"), "not a name of a key": data("name", "a b", "secret", secret),
	} {
		if _, err := ParseKey(d); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("ParseKey(%v) = %v, want %q", d, err, want)
		}
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add(strings.Join(first.strings(), "\n"))
	f.Add("quorate-name-1\nepoch=x")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMark(strings.Split(text, "\n"))
		if err != nil {
			return
		}
		m.Resource = m.Resource[:min(len(m.Resource), 240)]
		again, err := ParseMark(m.strings())
		if err != nil || again != m {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "[::1]:53", "ns1:54", "::1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		server, err := ParseServer(text)
		if err != nil {
			return
		}
		if _, _, err := net.SplitHostPort(server); err != nil {
			t.Errorf("ParseServer(%q) = %q: %v", text, server, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add("key", "c2VjcmV0", "hmac-sha256")
	f.Fuzz(func(t *testing.T, name, secret, algorithm string) {
		k, err := ParseKey(map[string][]byte{"name": []byte(name), "secret": []byte(secret), "algorithm": []byte(algorithm)})
		if err != nil {
			return
		}
		msg := question("example.org.", dns.TypeSOA)
		msg.SetTsig(k.Name, k.Algorithm, fudge, time.Now().Unix())
		if _, _, err := dns.TsigGenerate(msg, k.Secret, "", false); err != nil {
			t.Errorf("a key that was accepted cannot sign: %v", err)
		}
	})
}
