package networkname

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/miekg/dns"

	"github.com/quorate/quorate/pkg/dnsupdate/dnsupdatetest"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
)

const (
	full    = "sales.example.org."
	reverse = "2.0.192.in-addr.arpa"
)

var (
	secret = base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes, ok"))
	v4, v6 = netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the text is what is wanted.
func eventually(t *testing.T, what, want string, got func() string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		is := got()
		if is == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %q, want %q", what, is, want)
		}
	}
}

// host is one agent's type, with what it tells.
type host struct {
	*Type
	cancel context.CancelFunc
	dir    string

	mu       sync.Mutex
	problems []resourcetype.Problem
	secret   error
	here     map[netip.Addr]bool
}

func quick() Timing {
	return Timing{Grace: 50 * time.Millisecond, Retry: 10 * time.Millisecond, MaxRetry: 50 * time.Millisecond, GiveUp: time.Minute, Exchange: 100 * time.Millisecond}
}

// start runs an agent's type in a run directory.
func start(t *testing.T, dir string) *host {
	t.Helper()
	h := &host{Type: New(), dir: dir, here: map[netip.Addr]bool{v4: true, v6: true}}
	h.local = func(a netip.Addr) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.here[a]
	}
	ctx, cancel := context.WithCancel(t.Context())
	h.cancel = cancel
	h.Start(ctx, Options{
		RunDir: dir, Timing: quick(), Log: logr.Discard(),
		Tell: func(list []resourcetype.Problem) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.problems = list
		},
		Secret: func(_ context.Context, namespace, name string) (map[string][]byte, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if namespace != "shop" || name != "tsig" {
				return nil, fmt.Errorf("no Secret %s/%s", namespace, name)
			}
			return map[string][]byte{"name": []byte("key"), "secret": []byte(secret)}, h.secret
		},
	})
	return h
}

// told is what the host has to say of problems.
func (h *host) told() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var texts []string
	for _, p := range h.problems {
		texts = append(texts, p.Reason+" "+p.Object+": "+p.Message)
	}
	return strings.Join(texts, "\n")
}

func (h *host) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// instance is the name at an epoch; more is added to the spec's dns.
func (h *host) instance(s *dnsupdatetest.Server, epoch model.Epoch, more string) *resourcetype.Instance {
	inst := &resourcetype.Instance{
		Type: Name, Resource: resourcetype.Identity{UID: "uid", Namespace: "shop", Name: "name"}, Group: resourcetype.Identity{UID: "group", Namespace: "shop", Name: "shop"},
		ClusterID: "c1", Epoch: epoch, RunDir: h.dir, Addresses: []netip.Addr{v4, v6}, Log: logr.Discard(),
		Spec: json.RawMessage(fmt.Sprintf(`{"networkName":{"name":"sales","dns":{"server":%q,"zone":"example.org","tsigSecretRef":{"name":"tsig"}%s}}}`, s.Address, more)),
	}
	return inst
}

func server(t *testing.T, zones ...string) *dnsupdatetest.Server {
	t.Helper()
	return dnsupdatetest.Start(t, append(zones, "example.org"), map[string]string{"key.": secret})
}

func says(t *testing.T, s *dnsupdatetest.Server, want string) {
	t.Helper()
	eventually(t, "the name", want, func() string {
		return strings.Join(append(s.Values(full, dns.TypeA), s.Values(full, dns.TypeAAAA)...), " ")
	})
}

// TestMove: a name goes with its group, and at no moment does a client learn that it does not exist. Offline takes it away.
func TestMove(t *testing.T) {
	s := server(t, reverse)
	a, b := start(t, t.TempDir()), start(t, t.TempDir())
	first, second := a.instance(s, 4, ""), b.instance(s, 6, "")
	must(t, a.Online(t.Context(), first))
	says(t, s, "192.0.2.7 2001:db8::7")
	eventually(t, "the name of the address", full, func() string {
		return strings.Join(s.Values("7."+reverse, dns.TypePTR), " ")
	})
	must(t, a.IsAlive(t.Context(), first))

	must(t, a.Offline(t.Context(), first))
	must(t, b.Online(t.Context(), second))
	for deadline := time.Now().Add(4 * quick().Grace); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if got := s.Values(full, dns.TypeA); !slices.Equal(got, []string{"192.0.2.7"}) {
			t.Fatalf("in the move the name had the addresses %v", got)
		}
	}
	must(t, b.Offline(t.Context(), second))
	says(t, s, "")
	eventually(t, "the name of the address", "", func() string {
		return strings.Join(s.Values("7."+reverse, dns.TypePTR), " ")
	})
	eventually(t, "what is still to be removed", "", func() string {
		left, _ := filepath.Glob(filepath.Join(a.dir, removalDir, "*"))
		more, _ := filepath.Glob(filepath.Join(b.dir, removalDir, "*"))
		return strings.Join(append(left, more...), " ")
	})
	if told := a.told() + b.told(); told != "" {
		t.Errorf("they told of %s", told)
	}
}

// TestDeadServer: nobody waits for a server that does not answer; it is told, and made good when it is back.
func TestDeadServer(t *testing.T) {
	s := server(t)
	s.Set(dnsupdatetest.Faults{Silent: true})
	h := start(t, t.TempDir())
	inst := h.instance(s, 4, "")
	began := time.Now()
	must(t, h.Online(t.Context(), inst))
	must(t, h.LooksAlive(t.Context(), inst))
	must(t, h.IsAlive(t.Context(), inst))
	if took := time.Since(began); took > 50*time.Millisecond {
		t.Errorf("with a dead DNS server going online took %s", took)
	}
	eventually(t, "the problem", "true", func() string {
		told := h.told()
		return fmt.Sprint(strings.HasPrefix(told, "NameNotRegistered shop/name: sales.example.org is not kept in DNS: ") && strings.Contains(told, "timeout"))
	})
	s.Set(dnsupdatetest.Faults{})
	says(t, s, "192.0.2.7 2001:db8::7")
	eventually(t, "the problem", "", h.told)

	s.Set(dnsupdatetest.Faults{Silent: true})
	began = time.Now()
	must(t, h.Offline(t.Context(), inst))
	if took := time.Since(began); took > 50*time.Millisecond {
		t.Errorf("with a dead DNS server going offline took %s", took)
	}
	eventually(t, "the problem", "true", func() string {
		return fmt.Sprint(strings.HasPrefix(h.told(), "NameNotRemoved shop/name: sales.example.org is offline and still in DNS: "))
	})
	s.Set(dnsupdatetest.Faults{})
	says(t, s, "")
	eventually(t, "the problem", "", h.told)
}

// TestRefused: what the server refuses, and a Secret that is missing, are told with what to do; the group does not fail.
func TestRefused(t *testing.T) {
	s := server(t)
	s.Set(dnsupdatetest.Faults{Rcode: dns.RcodeRefused})
	h := start(t, t.TempDir())
	inst := h.instance(s, 4, "")
	must(t, h.Online(t.Context(), inst))
	contains := func(want string) {
		t.Helper()
		eventually(t, "that the problem says "+want, "true", func() string { return fmt.Sprint(strings.Contains(h.told(), want)) })
		must(t, h.IsAlive(t.Context(), inst))
	}
	contains("let it take updates of A, AAAA and TXT below the zone example.org")
	h.set(func() { h.secret = errors.New("agents need a Role for it") })
	contains("agents need a Role for it")
	h.set(func() { h.secret = nil })
	s.Set(dnsupdatetest.Faults{})
	s.Add(t, full+" 60 IN A 192.0.2.99")
	contains("it has the A record 192.0.2.99")
	s.Clear(full)
	says(t, s, "192.0.2.7 2001:db8::7")
}

// TestReverseRefused: a reverse zone that takes no updates is no problem.
func TestReverseRefused(t *testing.T) {
	s := server(t, reverse)
	s.Set(dnsupdatetest.Faults{ReadOnly: []string{reverse + "."}})
	h := start(t, t.TempDir())
	must(t, h.Online(t.Context(), h.instance(s, 4, `,"required":true`)))
	says(t, s, "192.0.2.7 2001:db8::7")
	if told := h.told(); told != "" {
		t.Errorf("it told of %s", told)
	}
}

// TestRequired: where DNS is required, the name is online when it is registered, and fails when it is not.
func TestRequired(t *testing.T) {
	s := server(t)
	h := start(t, t.TempDir())
	inst := h.instance(s, 4, `,"required":true`)
	must(t, h.Online(t.Context(), inst))
	if got := s.Values(full, dns.TypeA); len(got) != 1 {
		t.Errorf("it is online, and has %v", got)
	}
	s.Set(dnsupdatetest.Faults{QueryRcode: dns.RcodeRefused})
	eventually(t, "that it fails", "true", func() string {
		return fmt.Sprint(h.IsAlive(t.Context(), inst) != nil)
	})
	must(t, h.Offline(t.Context(), inst))
	again := h.instance(s, 4, `,"required":true`)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.Online(ctx, again); err == nil || !strings.Contains(err.Error(), "let this host ask it for the zone") {
		t.Errorf("Online() = %v", err)
	}
}

// TestRestart: the next agent goes on with what is registered and with what is to be removed; the guardian leaves it to an agent.
func TestRestart(t *testing.T) {
	s, dir := server(t), t.TempDir()
	h := start(t, dir)
	inst := h.instance(s, 4, "")
	must(t, h.Online(t.Context(), inst))
	says(t, s, "192.0.2.7 2001:db8::7")
	before := s.Updates()
	h.cancel()

	h = start(t, dir)
	must(t, h.Adopt(t.Context(), inst))
	time.Sleep(100 * time.Millisecond)
	if s.Updates() != before {
		t.Error("the adoption changed something")
	}
	s.Clear(full)
	must(t, h.IsAlive(t.Context(), inst))
	says(t, s, "192.0.2.7 2001:db8::7")

	s.Set(dnsupdatetest.Faults{Silent: true})
	saved := slices.Clone(inst.Data)
	must(t, h.Offline(t.Context(), inst))
	time.Sleep(2 * quick().Grace)
	h.cancel()
	s.Set(dnsupdatetest.Faults{})
	says(t, s, "192.0.2.7 2001:db8::7")
	h = start(t, dir)
	says(t, s, "")

	must(t, h.Online(t.Context(), inst))
	says(t, s, "192.0.2.7 2001:db8::7")
	h.cancel()
	guardian := New()
	must(t, guardian.Terminate(t.Context(), inst))
	inst.Data = saved // what was of an earlier start is not there any more
	must(t, guardian.Terminate(t.Context(), inst))
	start(t, dir)
	says(t, s, "")
	if err := New().Adopt(t.Context(), h.instance(s, 4, "")); err == nil {
		t.Error("what was never started is adopted")
	}
}

// TestAlternatives: of several addresses those are registered that are online.
func TestAlternatives(t *testing.T) {
	s := server(t, reverse)
	h := start(t, t.TempDir())
	h.here[v6] = false
	inst := h.instance(s, 4, "")
	must(t, h.Online(t.Context(), inst))
	says(t, s, "192.0.2.7")
	eventually(t, "the name of the address", full, func() string { return strings.Join(s.Values("7."+reverse, dns.TypePTR), " ") })
	h.set(func() { h.here = map[netip.Addr]bool{v6: true} })
	eventually(t, "the name", "2001:db8::7", func() string {
		must(t, h.LooksAlive(t.Context(), inst))
		return strings.Join(append(s.Values(full, dns.TypeA), s.Values(full, dns.TypeAAAA)...), " ")
	})
	eventually(t, "the name of the address", "", func() string { return strings.Join(s.Values("7."+reverse, dns.TypePTR), " ") })
}

// TestRenamed: a name that was changed is removed under its old name.
func TestRenamed(t *testing.T) {
	s := server(t)
	h := start(t, t.TempDir())
	inst := h.instance(s, 4, "")
	must(t, h.Online(t.Context(), inst))
	says(t, s, "192.0.2.7 2001:db8::7")
	inst.Spec = json.RawMessage(strings.Replace(string(inst.Spec), `"sales"`, `"orders"`, 1))
	must(t, h.Online(t.Context(), inst)) // without an Offline, as after a crash
	says(t, s, "")
	eventually(t, "the new name", "192.0.2.7", func() string { return strings.Join(s.Values("orders.example.org.", dns.TypeA), " ") })
}

// TestBadInput: each mistake has a sentence that names the field.
func TestBadInput(t *testing.T) {
	s := server(t)
	h := start(t, t.TempDir())
	for spec, want := range map[string]string{
		`{"networkName":{"name":"a","dns":{"server":"a b","zone":"z"}}}`:          "networkName.dns.server",
		`{"networkName":{"name":"a","dns":{"server":"192.0.2.1","zone":"a..b"}}}`: "networkName.dns.zone",
		`{}`: "no networkName",
		`[]`: "reading the spec",
	} {
		found := h.Check(t.Context(), json.RawMessage(spec))
		if len(found) != 1 || found[0].Reason != resourcetype.ReasonInvalidSpec || !strings.Contains(found[0].Message, want) {
			t.Errorf("Check(%s) = %+v", spec, found)
		}
	}
	inst := h.instance(s, 4, "")
	inst.Addresses = []netip.Addr{netip.MustParseAddr("fe80::1")}
	if err := h.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "depends on no IPAddress") {
		t.Errorf("Online() without an address = %v", err)
	}
	inst = h.instance(s, 4, "")
	inst.MayAct = func() error { return errors.New("no quorum") }
	if err := h.Online(t.Context(), inst); err == nil || len(s.Values(full, dns.TypeA)) > 0 {
		t.Errorf("Online() of a node that may not act = %v", err)
	}
	alone := h.instance(s, 4, "")
	alone.Spec = json.RawMessage(`{"networkName":{"name":"alone"}}`)
	must(t, h.Online(t.Context(), alone))
	must(t, h.LooksAlive(t.Context(), alone))
	must(t, h.Offline(t.Context(), alone))
}

// TestGarbledRemoval: a file that says nothing is forgotten, and does not keep others from being done.
func TestGarbledRemoval(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, removalDir), 0o700))
	for name, content := range map[string]string{"a.json": "{", "b.json": "{}", "c.json.new": ""} {
		must(t, os.WriteFile(filepath.Join(dir, removalDir, name), []byte(content), 0o600))
	}
	start(t, dir)
	if left, err := os.ReadDir(filepath.Join(dir, removalDir)); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
