package dnsupdate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// defaultTimeout is how long one question or update may take.
	defaultTimeout = 2 * time.Second
	// payload is the size of answers that this client takes over UDP: what passes every network in one piece.
	payload = 1232
	// fudge is by how many seconds the clocks of both sides may differ (RFC 8945 10.).
	fudge = 300
	// signature is the size of the longest MAC, which is added when a message is sent. What is larger than every server takes in a datagram goes
	// over TCP.
	signature = 64
	// rounds is how often a change is begun anew when somebody else was quicker.
	rounds = 3
)

// Client speaks with one server.
type Client struct {
	// Server is an address or a name with its port (ParseServer).
	Server string
	// Key signs everything; nil: nothing is signed.
	Key *Key
	// Timeout of one exchange; 0 means 2s.
	Timeout time.Duration
}

// state is what the server says of an entry.
type state struct {
	marks   []dns.RR
	mark    Mark
	known   error // why mark is not usable
	records map[uint16][]dns.RR
	alias   string
}

// Publish makes the entry's records those of its name, marked as m's. It changes nothing when all is so already, and reports whether it did.
// Records without a mark that are just those of the entry are taken over. errors.As finds *NewerError, *TakenError and *AnswerError. may is
// asked immediately before a change is sent.
func (c *Client) Publish(ctx context.Context, e *Entry, m Mark, may func() error) (changed bool, err error) {
	for range rounds {
		var s *state
		if s, err = c.read(ctx, e); err != nil {
			return false, err
		}
		if s.is(e, m) {
			return false, nil
		}
		if err := s.writable(e, m); err != nil {
			return false, err
		}
		if err := may(); err != nil {
			return false, err
		}
		if err = c.update(ctx, e.Zone, s.publish(e, m)); !errors.Is(err, errChanged) {
			return err == nil, err
		}
	}
	return false, fmt.Errorf("writing %s: %w", e.Name, err)
}

// Withdraw removes the entry's records and the mark if the mark is m; what another owner has written since stays.
func (c *Client) Withdraw(ctx context.Context, e *Entry, m Mark) (removed bool, err error) {
	for range rounds {
		var s *state
		if s, err = c.read(ctx, e); err != nil {
			return false, err
		}
		if !s.marked(m) {
			return false, nil
		}
		msg := new(dns.Msg)
		msg.SetUpdate(e.Zone)
		msg.Used(copies(s.marks))
		msg.Remove(copies(e.Records))
		msg.RemoveRRset(s.marks)
		if err = c.update(ctx, e.Zone, msg); !errors.Is(err, errChanged) {
			return err == nil, err
		}
	}
	return false, fmt.Errorf("removing %s: %w", e.Name, err)
}

// marked says that the mark is m.
func (s *state) marked(m Mark) bool { return len(s.marks) == 1 && s.known == nil && s.mark.same(m) }

// is says that there is nothing to change.
func (s *state) is(e *Entry, m Mark) bool {
	if !s.marked(m) || s.alias != "" {
		return false
	}
	for _, t := range e.types {
		if !same(s.records[t], e.of(t)) {
			return false
		}
	}
	return true
}

// writable says why m may not write the name.
func (s *state) writable(e *Entry, m Mark) error {
	taken := &TakenError{Name: e.Name, Mark: markLabel + e.Name}
	switch {
	case s.alias != "":
		taken.By = "it is an alias (CNAME) of " + strings.TrimSuffix(s.alias, ".")
		return taken
	case len(s.marks) == 0:
		for _, t := range e.types {
			if len(s.records[t]) > 0 && !same(s.records[t], e.of(t)) {
				taken.By = "it has the " + dns.TypeToString[t] + " record " + value(s.records[t][0])
				return taken
			}
		}
		return nil
	case len(s.marks) > 1 || s.known != nil:
		taken.By = "its mark is not Quorate's"
		return taken
	case s.mark.Cluster != m.Cluster:
		taken.By = "it is of " + s.mark.String()
		return taken
	case s.mark.newer(m):
		return &NewerError{Name: e.Name, By: s.mark}
	}
	return nil
}

func value(r dns.RR) string { return strings.TrimPrefix(r.String(), r.Header().String()) }

// publish is the update from this state to the entry. Its prerequisites are what was read.
func (s *state) publish(e *Entry, m Mark) *dns.Msg {
	msg := new(dns.Msg)
	msg.SetUpdate(e.Zone)
	mark := m.record(e)
	if len(s.marks) > 0 {
		msg.Used(copies(s.marks))
	} else {
		msg.RRsetNotUsed([]dns.RR{mark})
		for _, t := range e.types {
			if len(s.records[t]) > 0 {
				msg.Used(copies(s.records[t]))
				continue
			}
			msg.RRsetNotUsed([]dns.RR{&dns.ANY{Hdr: e.header(t)}})
		}
	}
	for _, t := range e.types {
		msg.RemoveRRset([]dns.RR{&dns.ANY{Hdr: e.header(t)}})
	}
	msg.RemoveRRset([]dns.RR{mark})
	msg.Insert(append(copies(e.Records), mark))
	return msg
}

// read asks the server for the mark and the records of an entry.
func (c *Client) read(ctx context.Context, e *Entry) (*state, error) {
	s := &state{records: map[uint16][]dns.RR{}}
	answer, err := c.ask(ctx, e.Zone, markLabel+e.Name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	s.marks = matching(answer, markLabel+e.Name, dns.TypeTXT)
	if len(s.marks) == 1 {
		txt, _ := s.marks[0].(*dns.TXT)
		s.mark, s.known = ParseMark(txt.Txt)
	}
	for _, t := range e.types {
		if answer, err = c.ask(ctx, e.Zone, e.Name, t); err != nil {
			return nil, err
		}
		s.records[t] = matching(answer, e.Name, t)
		for _, r := range answer.Answer {
			if alias, is := r.(*dns.CNAME); is && dns.CanonicalName(alias.Hdr.Name) == e.Name {
				s.alias = alias.Target
			}
		}
	}
	return s, nil
}

func matching(m *dns.Msg, name string, rrtype uint16) []dns.RR {
	var found []dns.RR
	for _, r := range m.Answer {
		if r.Header().Rrtype == rrtype && dns.CanonicalName(r.Header().Name) == name {
			found = append(found, r)
		}
	}
	return found
}

// ReverseZone finds the zone of the reverse name of an address, if the server is authoritative for one.
func (c *Client) ReverseZone(ctx context.Context, address netip.Addr) (zone string, found bool, err error) {
	name, err := dns.ReverseAddr(address.WithZone("").String())
	if err != nil {
		return "", false, fmt.Errorf("the reverse name of %s: %w", address, err)
	}
	answer, err := c.exchange(ctx, question(name, dns.TypeSOA))
	if err != nil {
		return "", false, err
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError || !answer.Authoritative {
		return "", false, nil
	}
	for _, r := range append(answer.Answer, answer.Ns...) {
		if soa, is := r.(*dns.SOA); is && dns.CountLabel(soa.Hdr.Name) > 2 && dns.IsSubDomain(soa.Hdr.Name, name) {
			return dns.CanonicalName(soa.Hdr.Name), true, nil
		}
	}
	return "", false, nil
}

func question(name string, rrtype uint16) *dns.Msg {
	msg := new(dns.Msg)
	msg.SetQuestion(name, rrtype)
	msg.RecursionDesired = false
	return msg
}

// ask asks for records that the server must know by itself.
func (c *Client) ask(ctx context.Context, zone, name string, rrtype uint16) (*dns.Msg, error) {
	answer, err := c.exchange(ctx, question(name, rrtype))
	if err != nil {
		return nil, err
	}
	failed := &AnswerError{Server: c.Server, Zone: zone, Rcode: answer.Rcode, Key: c.keyName(), TSIG: tsigError(answer), Query: true}
	switch {
	case answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError:
		return nil, failed
	case !answer.Authoritative:
		failed.Rcode = dns.RcodeNotAuth
		return nil, failed
	}
	return answer, nil
}

func (c *Client) update(ctx context.Context, zone string, msg *dns.Msg) error {
	answer, err := c.exchange(ctx, msg)
	if err != nil {
		return err
	}
	switch answer.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeNXRrset, dns.RcodeYXRrset, dns.RcodeYXDomain, dns.RcodeNameError:
		return errChanged
	}
	return &AnswerError{Server: c.Server, Zone: zone, Rcode: answer.Rcode, Key: c.keyName(), TSIG: tsigError(answer)}
}

func (c *Client) keyName() string {
	if c.Key == nil {
		return ""
	}
	return c.Key.String()
}

func tsigError(m *dns.Msg) uint16 {
	if t := m.IsTsig(); t != nil {
		return t.Error
	}
	return 0
}

// exchange sends one message and returns the answer; over TCP when one of them does not fit into a datagram.
func (c *Client) exchange(ctx context.Context, msg *dns.Msg) (*dns.Msg, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	if msg.Opcode == dns.OpcodeQuery {
		msg.SetEdns0(payload, false)
	}
	client := &dns.Client{Net: "udp", Timeout: timeout, UDPSize: payload}
	if c.Key != nil {
		client.TsigSecret = map[string]string{c.Key.Name: c.Key.Secret}
		msg.SetTsig(c.Key.Name, c.Key.Algorithm, fudge, time.Now().Unix())
	}
	if msg.Len()+signature > dns.MinMsgSize {
		client.Net = "tcp"
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		answer, err := c.once(ctx, client, msg)
		if err == nil && answer.Truncated && client.Net == "udp" {
			client.Net = "tcp"
			continue
		}
		return answer, err
	}
}

// once is one exchange. An answer that says no need not be signed: the server may not have a key to sign it with. One that says yes must be.
func (c *Client) once(ctx context.Context, client *dns.Client, msg *dns.Msg) (*dns.Msg, error) {
	answer, _, err := client.ExchangeContext(ctx, msg.Copy(), c.Server)
	switch {
	case answer == nil && err != nil:
		return nil, fmt.Errorf("asking the DNS server %s: %w", c.Server, err)
	case answer == nil:
		return nil, fmt.Errorf("asking the DNS server %s: no answer", c.Server)
	case !answer.Response || answer.Id != msg.Id:
		return nil, fmt.Errorf("the DNS server %s answers something else than it was asked", c.Server)
	case answer.Rcode == dns.RcodeNotAuth:
		return answer, nil // the library calls that a failure of the signature, whatever it is
	case err != nil:
		return nil, fmt.Errorf("the answer of the DNS server %s is not usable: %w", c.Server, err)
	case c.Key != nil && answer.IsTsig() == nil && (answer.Rcode == dns.RcodeSuccess || answer.Rcode == dns.RcodeNameError):
		return nil, fmt.Errorf("the answer of the DNS server %s is not signed although it was asked with the key %q", c.Server, c.keyName())
	}
	return answer, nil
}
