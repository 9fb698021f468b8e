package dnsupdatetest

import (
	"slices"

	"github.com/miekg/dns"
)

// prerequisites are those of RFC 2136 2.4 and 3.2.
func (s *Server) prerequisites(list []dns.RR) int {
	wanted := map[string][]dns.RR{}
	for _, r := range list {
		h := r.Header()
		name := dns.CanonicalName(h.Name)
		if h.Class == dns.ClassINET {
			key := name + dns.TypeToString[h.Rrtype]
			wanted[key] = append(wanted[key], r)
			continue
		}
		have, missing, present := s.of(name, h.Rrtype), dns.RcodeNXRrset, dns.RcodeYXRrset
		if h.Rrtype == dns.TypeANY {
			have, missing, present = s.records[name], dns.RcodeNameError, dns.RcodeYXDomain
		}
		switch {
		case h.Class == dns.ClassANY && len(have) == 0:
			return missing
		case h.Class == dns.ClassNONE && len(have) > 0:
			return present
		}
	}
	for _, set := range wanted {
		h := set[0].Header()
		have := s.of(dns.CanonicalName(h.Name), h.Rrtype)
		if len(have) != len(set) || slices.ContainsFunc(set, func(r dns.RR) bool { return !contains(have, r) }) {
			return dns.RcodeNXRrset
		}
	}
	return dns.RcodeSuccess
}

// change is one record of the update section (RFC 2136 2.5 and 3.4.2).
func (s *Server) change(r dns.RR) {
	h := r.Header()
	name := dns.CanonicalName(h.Name)
	switch h.Class {
	case dns.ClassANY:
		s.records[name] = slices.DeleteFunc(s.records[name], func(old dns.RR) bool {
			return h.Rrtype == dns.TypeANY || old.Header().Rrtype == h.Rrtype
		})
	case dns.ClassNONE:
		s.records[name] = slices.DeleteFunc(s.records[name], func(old dns.RR) bool { return equal(old, r) })
	default:
		s.add(dns.Copy(r))
	}
	if len(s.records[name]) == 0 {
		delete(s.records, name)
	}
}

func (s *Server) add(r dns.RR) {
	name := dns.CanonicalName(r.Header().Name)
	if !contains(s.records[name], r) {
		s.records[name] = append(s.records[name], r)
	}
}

func (s *Server) of(name string, rrtype uint16) []dns.RR {
	return slices.DeleteFunc(slices.Clone(s.records[name]), func(r dns.RR) bool { return r.Header().Rrtype != rrtype })
}

func contains(list []dns.RR, r dns.RR) bool {
	return slices.ContainsFunc(list, func(other dns.RR) bool { return equal(other, r) })
}

// equal compares type and value alone.
func equal(a, b dns.RR) bool {
	a, b = dns.Copy(a), dns.Copy(b)
	for _, r := range []dns.RR{a, b} {
		r.Header().Class, r.Header().Ttl = dns.ClassINET, 0
	}
	return dns.IsDuplicate(a, b)
}
