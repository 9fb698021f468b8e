package dnsupdate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// defaultPort of a DNS server.
const defaultPort = "53"

// Entry is what one name is to say: all its records of these types, and no others of them.
type Entry struct {
	// Zone and Name are fully qualified and in lower case.
	Zone, Name string
	// TTL of the records in seconds.
	TTL uint32
	// Records are A and AAAA, or PTR.
	Records []dns.RR
	// types are those that the entry decides about.
	types []uint16
}

// Addresses is the entry of a name with its addresses, IPv4 and IPv6. The name is one label or more below the zone.
func Addresses(name, zone string, ttl uint32, addresses []netip.Addr) (*Entry, error) {
	zone = dns.CanonicalName(zone)
	full := dns.CanonicalName(name + "." + zone)
	if zone == "." {
		full = dns.CanonicalName(name)
	}
	for what, text := range map[string]string{"zone": zone, "name": full} {
		if !isName(text) {
			return nil, fmt.Errorf("the %s %q is not a domain name", what, text)
		}
	}
	if _, ok := dns.IsDomainName(markLabel + full); !ok {
		return nil, fmt.Errorf("the name %q is too long: with %s before it, it has more than 253 characters", full, markLabel)
	}
	e := &Entry{Zone: zone, Name: full, TTL: ttl, types: []uint16{dns.TypeA, dns.TypeAAAA}}
	for _, a := range addresses {
		if a.Is4() {
			e.Records = append(e.Records, &dns.A{Hdr: e.header(dns.TypeA), A: a.AsSlice()})
			continue
		}
		e.Records = append(e.Records, &dns.AAAA{Hdr: e.header(dns.TypeAAAA), AAAA: a.WithZone("").AsSlice()})
	}
	return e, nil
}

// Pointer is the entry of an address in the reverse zone: the name that it has.
func Pointer(address netip.Addr, zone, name string, ttl uint32) (*Entry, error) {
	reverse, err := dns.ReverseAddr(address.WithZone("").String())
	if err != nil {
		return nil, fmt.Errorf("the reverse name of %s: %w", address, err)
	}
	e := &Entry{Zone: dns.CanonicalName(zone), Name: reverse, TTL: ttl, types: []uint16{dns.TypePTR}}
	e.Records = []dns.RR{&dns.PTR{Hdr: e.header(dns.TypePTR), Ptr: dns.CanonicalName(name)}}
	return e, nil
}

func (e *Entry) header(rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: e.Name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: e.TTL}
}

// of are the entry's records of a type.
func (e *Entry) of(rrtype uint16) []dns.RR {
	return slices.DeleteFunc(slices.Clone(e.Records), func(r dns.RR) bool { return r.Header().Rrtype != rrtype })
}

// same says that two sets have the same records, whatever their order and time to live.
func same(a, b []dns.RR) bool {
	within := func(x, y []dns.RR) bool {
		return !slices.ContainsFunc(x, func(r dns.RR) bool {
			return !slices.ContainsFunc(y, func(other dns.RR) bool { return dns.IsDuplicate(r, other) })
		})
	}
	return within(a, b) && within(b, a)
}

// copies are for messages: the builders of updates change what they are given.
func copies(records []dns.RR) []dns.RR {
	out := make([]dns.RR, len(records))
	for i, r := range records {
		out[i] = dns.Copy(r)
	}
	return out
}

// ParseServer reads the address or name of a DNS server with an optional port, by default 53: 192.0.2.1, [2001:db8::1]:5353, ns1.example.org.
func ParseServer(text string) (string, error) {
	host, port := text, defaultPort
	if _, err := netip.ParseAddr(text); err != nil && strings.Contains(text, ":") || strings.HasPrefix(text, "[") {
		if host, port, err = net.SplitHostPort(text); err != nil {
			if host, port = strings.Trim(text, "[]"), defaultPort; text != "["+host+"]" {
				return "", fmt.Errorf("%q is not the address or name of a server with an optional port: %w", text, err)
			}
		}
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", fmt.Errorf("%q: %q is not a port from 1 to 65535", text, port)
	}
	if address, err := netip.ParseAddr(host); err == nil && (address.Zone() == "" || isName(address.Zone())) {
		return net.JoinHostPort(host, port), nil
	}
	if !isName(host) {
		return "", fmt.Errorf("%q is not the address or name of a server with an optional port: %w", text, errors.New("the host is not usable"))
	}
	return net.JoinHostPort(host, port), nil
}

// isName says that a text is a domain name of letters, digits, hyphens and underscores: what needs escapes is no name that anybody uses here.
func isName(text string) bool {
	strange := strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
	_, ok := dns.IsDomainName(text)
	return ok && !strange && text != ""
}
