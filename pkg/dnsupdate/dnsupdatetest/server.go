// Package dnsupdatetest is a small primary DNS server in the process of a test: zones in memory, dynamic updates with all prerequisites
// (RFC 2136), TSIG, and the ways in which a server fails.
package dnsupdatetest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Server is a primary server. Its fields may be set between exchanges with Set.
type Server struct {
	Address string

	mu     sync.Mutex
	zones  []string
	faults Faults
	// records by canonical name.
	records map[string][]dns.RR
	updates int
}

// Faults are what goes wrong.
type Faults struct {
	// Silent answers nothing.
	Silent bool
	// Rcode answers every update with it, unless it is 0; QueryRcode every question.
	Rcode, QueryRcode int
	// ReadOnly zones refuse updates.
	ReadOnly []string
	// Unsigned answers without a signature; Lame without authority.
	Unsigned, Lame bool
	// Truncate answers questions over UDP with nothing but the bit.
	Truncate bool
	// Before is called before an update is looked at, without the lock; it may change the zone.
	Before func()
}

// Start runs a server on a loopback address until the test ends. keys are TSIG secrets in base64 by name; with none nothing needs to be signed.
func Start(t *testing.T, zones []string, keys map[string]string) *Server {
	t.Helper()
	s := &Server{records: map[string][]dns.RR{}}
	for _, z := range zones {
		s.zones = append(s.zones, dns.CanonicalName(z))
	}
	var (
		datagrams net.PacketConn
		listen    net.ListenConfig
	)
	var stream net.Listener
	for range 20 { // the same port for both may be taken
		var err error
		if datagrams, err = listen.ListenPacket(t.Context(), "udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if stream, err = listen.Listen(t.Context(), "tcp", datagrams.LocalAddr().String()); err == nil {
			break
		}
		_ = datagrams.Close()
		stream = nil
	}
	if stream == nil {
		t.Fatal("no port is free for both UDP and TCP")
	}
	s.Address = datagrams.LocalAddr().String()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) { s.handle(w, m, keys) })
	for _, server := range []*dns.Server{{PacketConn: datagrams}, {Listener: stream}} {
		server.Handler, server.TsigSecret = handler, keys
		server.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { _ = server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return s
}

// Set changes what goes wrong.
func (s *Server) Set(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Add puts records into the zone as another program would, in the form of a zone file.
func (s *Server) Add(t *testing.T, lines ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range lines {
		r, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		s.add(r)
	}
}

// Clear removes all records of a name.
func (s *Server) Clear(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, dns.CanonicalName(name))
}

// Values are the values of the records of a name, sorted.
func (s *Server) Values(name string, rrtype uint16) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var values []string
	for _, r := range s.records[dns.CanonicalName(name)] {
		if r.Header().Rrtype == rrtype {
			values = append(values, strings.TrimPrefix(r.String(), r.Header().String()))
		}
	}
	slices.Sort(values)
	return values
}

// Updates is how many updates were carried out.
func (s *Server) Updates() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.updates
}

func (s *Server) handle(w dns.ResponseWriter, m *dns.Msg, keys map[string]string) {
	s.mu.Lock()
	faults := s.faults
	s.mu.Unlock()
	if faults.Silent || len(m.Question) != 1 {
		return
	}
	if faults.Before != nil && m.Opcode == dns.OpcodeUpdate {
		faults.Before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := new(dns.Msg)
	reply.SetReply(m)
	sign := m.IsTsig()
	switch {
	case sign != nil && w.TsigStatus() != nil:
		reply.Rcode = dns.RcodeNotAuth
		code := uint16(dns.RcodeBadSig)
		if keys[sign.Hdr.Name] == "" {
			code = dns.RcodeBadKey
		}
		reply.Extra = append(reply.Extra, &dns.TSIG{
			Hdr: dns.RR_Header{Name: sign.Hdr.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Algorithm: sign.Algorithm,
			TimeSigned: uint64(time.Now().Unix()), Fudge: 300, OrigId: m.Id, Error: code,
		})
		_ = w.WriteMsg(reply)
		return
	case m.Opcode == dns.OpcodeUpdate:
		reply.Rcode = s.update(m, faults, len(keys) == 0 || sign != nil)
	case faults.Truncate && w.LocalAddr().Network() == "udp":
		reply.Truncated = true
	default:
		s.query(m, reply, faults)
	}
	if sign != nil && !faults.Unsigned {
		reply.SetTsig(sign.Hdr.Name, sign.Algorithm, 300, time.Now().Unix())
	}
	_ = w.WriteMsg(reply)
}

func (s *Server) query(m, reply *dns.Msg, faults Faults) {
	name := dns.CanonicalName(m.Question[0].Name)
	zone := s.zone(name)
	if reply.Rcode = faults.QueryRcode; reply.Rcode != 0 {
		return
	}
	if zone == "" {
		reply.Rcode = dns.RcodeRefused
		return
	}
	reply.Authoritative = !faults.Lame
	for _, r := range s.records[name] {
		if t := r.Header().Rrtype; t == m.Question[0].Qtype || t == dns.TypeCNAME {
			reply.Answer = append(reply.Answer, dns.Copy(r))
		}
	}
	if len(reply.Answer) == 0 {
		soa, _ := dns.NewRR(zone + " 60 IN SOA ns." + zone + " admin." + zone + " 1 60 60 60 60")
		reply.Ns = append(reply.Ns, soa)
		if len(s.records[name]) == 0 {
			reply.Rcode = dns.RcodeNameError
		}
	}
}

func (s *Server) zone(name string) string {
	for _, z := range s.zones {
		if dns.IsSubDomain(z, name) {
			return z
		}
	}
	return ""
}

func (s *Server) update(m *dns.Msg, faults Faults, allowed bool) int {
	zone := dns.CanonicalName(m.Question[0].Name)
	switch {
	case faults.Rcode != 0:
		return faults.Rcode
	case !slices.Contains(s.zones, zone):
		return dns.RcodeNotAuth
	case !allowed || slices.Contains(faults.ReadOnly, zone):
		return dns.RcodeRefused
	}
	for _, r := range append(slices.Clone(m.Answer), m.Ns...) {
		if !dns.IsSubDomain(zone, r.Header().Name) {
			return dns.RcodeNotZone
		}
	}
	if code := s.prerequisites(m.Answer); code != 0 {
		return code
	}
	for _, r := range m.Ns {
		s.change(r)
	}
	s.updates++
	return dns.RcodeSuccess
}
