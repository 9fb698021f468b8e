package dnsupdate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// NewerError says that a later owner has written the name: whoever gets it has nothing to write any more.
type NewerError struct {
	Name string
	By   Mark
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s was written by a later owner: %s", e.Name, e.By)
}

// TakenError says that the name has records which are nobody's of this cluster. They are left alone.
type TakenError struct {
	Name string
	// By is the owner in another cluster, or what records there are.
	By string
	// Mark is where the mark of the name is.
	Mark string
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("%s belongs to somebody else: %s. Nothing is changed there: choose another name, or remove these records (with %s TXT, if "+
		"it is there)", strings.TrimSuffix(e.Name, "."), e.By, strings.TrimSuffix(e.Mark, "."))
}

// AnswerError says that the server has answered, but not done what it was asked for.
type AnswerError struct {
	Server, Zone string
	Rcode        int
	// Key is the name of the key that has signed; empty: none. TSIG is the server's error about it.
	Key  string
	TSIG uint16
	// Query says that it was about a question and not about an update.
	Query bool
}

func (e *AnswerError) Error() string {
	zone := strings.TrimSuffix(e.Zone, ".")
	return fmt.Sprintf("the DNS server %s answers %s: %s", e.Server, e.word(), e.advice(zone))
}

func (e *AnswerError) word() string {
	if e.TSIG != 0 {
		return dns.RcodeToString[e.Rcode] + " (" + tsigWord(e.TSIG) + ")"
	}
	if word, known := dns.RcodeToString[e.Rcode]; known {
		return word
	}
	return fmt.Sprintf("code %d", e.Rcode)
}

func tsigWord(code uint16) string {
	if word, known := dns.RcodeToString[int(code)]; known {
		return word
	}
	return fmt.Sprintf("TSIG error %d", code)
}

// advice says what to do.
func (e *AnswerError) advice(zone string) string {
	signed := "the updates are not signed: name the Secret with the key of the zone in dns.tsigSecretRef"
	if e.Key != "" {
		signed = fmt.Sprintf("the updates are signed with the key %q", e.Key)
	}
	switch {
	case e.TSIG == dns.RcodeBadTime:
		return "the clocks of this host and of the server differ by minutes: set them"
	case e.TSIG == dns.RcodeBadKey:
		return fmt.Sprintf("the server does not know the key %q with this algorithm: compare name and algorithm in the Secret with the server's", e.Key)
	case e.TSIG != 0:
		return fmt.Sprintf("the secret of the key %q is not the server's: compare the Secret with it", e.Key)
	case e.Rcode == dns.RcodeNotAuth:
		return fmt.Sprintf("it is not the primary server of the zone %s, or does not accept the signature; %s", zone, signed)
	case e.Rcode == dns.RcodeRefused && e.Query:
		return fmt.Sprintf("let this host ask it for the zone %s (BIND: allow-query); %s", zone, signed)
	case e.Rcode == dns.RcodeRefused:
		return fmt.Sprintf("let it take updates of A, AAAA and TXT below the zone %s (BIND: update-policy or allow-update); %s", zone, signed)
	case e.Rcode == dns.RcodeNotZone:
		return fmt.Sprintf("the name is not in its zone %s: correct dns.zone", zone)
	case e.Rcode == dns.RcodeServerFailure:
		return "its own log says why; BIND must be able to write the zone's file and journal"
	}
	return "its own log says why"
}

// errChanged says that a prerequisite did not hold: the name was changed since it was read.
var errChanged = errors.New("the name was changed in the same moment by somebody else")
