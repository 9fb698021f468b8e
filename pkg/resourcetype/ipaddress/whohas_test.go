package ipaddress

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/addressguard/netpair"
)

// TestWhoHas asks a real kernel at the other end of a cable, for addresses that it has and has not; a second machine of the wire is
// played by answers that the test sends itself.
func TestWhoHas(t *testing.T) {
	p := netpair.New(t)
	ifi := interfaceOf(p.Link)
	const wait = 300 * time.Millisecond
	theirs4, theirs6 := netip.MustParsePrefix(netpair.Peer4).Addr(), netip.MustParsePrefix(netpair.Peer6).Addr()
	nobodys4, nobodys6 := netip.MustParseAddr("10.9.0.77"), netip.MustParseAddr("fd09::77")
	got, err := WhoHas(t.Context(), ifi, []netip.Addr{theirs4, theirs6, nobodys4, nobodys6}, wait)
	must(t, err)
	for _, ip := range []netip.Addr{theirs4, theirs6} {
		if len(got[ip]) != 1 || got[ip][0].String() != p.PeerMAC.String() {
			t.Errorf("%s is answered for by %v, want the peer, %s", ip, got[ip], p.PeerMAC)
		}
	}
	if len(got[nobodys4])+len(got[nobodys6]) > 0 {
		t.Errorf("nobody's addresses are answered for: %v", got)
	}
}

// TestAnswers: only what is sent in answer to this very host counts.
func TestAnswers(t *testing.T) {
	source4, source6 := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")
	reply := arp{operation: arpReply, senderMAC: otherMAC, sender: ip4, targetMAC: ourMAC, target: source4}
	toAll := reply
	toAll.targetMAC = broadcast
	advert := nd{kind: ndAdvertisement, flags: flagOverride, source: ip6, to: source6, target: ip6, option: optionTarget, mac: otherMAC}
	for name, tc := range map[string]struct {
		frame  []byte
		source netip.Addr
		want   net.HardwareAddr
	}{
		"ARP reply":           {reply.frame(ourMAC), source4, otherMAC},
		"ARP reply to all":    {toAll.frame(broadcast), source4, nil},
		"ARP announcement":    {arpAnnouncements(otherMAC, ip4)[0], source4, nil},
		"ND advertisement":    {advert.frame(otherMAC), source6, otherMAC},
		"ND announcement":     {ndAnnouncement(otherMAC, ip6), source6, nil},
		"another's question":  {question(otherMAC, source4, ip4), source4, nil},
		"another's question6": {question(otherMAC, source6, ip6), source6, nil},
		"nothing":             {nil, source4, nil},
	} {
		if _, mac := answer(tc.frame, ourMAC, tc.source); mac.String() != tc.want.String() {
			t.Errorf("%s: answered by %v, want %v", name, mac, tc.want)
		}
	}
}

// TestQuestionsDisturbNobody: an auditor's question is no claim, so a duplicate check under way does not take it for a rival.
func TestQuestionsDisturbNobody(t *testing.T) {
	if mac := arpConflict(question(otherMAC, netip.MustParseAddr("10.9.0.9"), ip4), ourMAC, ip4); mac != nil {
		t.Errorf("an ARP question is taken for a rival: %v", mac)
	}
	if mac := ndConflict(question(otherMAC, netip.MustParseAddr("fd09::9"), ip6), ourMAC, ip6); mac != nil {
		t.Errorf("an ND question is taken for a rival: %v", mac)
	}
}

func TestWhoHasWithoutSource(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	must(t, err)
	if _, err := WhoHas(t.Context(), lo, []netip.Addr{netip.MustParseAddr("127.0.0.1")}, time.Millisecond); !errors.Is(err, ErrNoSource) {
		t.Errorf("got %v, want ErrNoSource", err)
	}
}

// FuzzAnswer: no frame makes the reader fail, and none without our own address in it counts.
func FuzzAnswer(f *testing.F) {
	f.Add(question(otherMAC, netip.MustParseAddr("10.9.0.9"), ip4))
	f.Add(ndAnnouncement(otherMAC, ip6))
	f.Add(arp{operation: arpReply, senderMAC: otherMAC, sender: ip4, targetMAC: ourMAC, target: netip.MustParseAddr("10.9.0.1")}.frame(ourMAC))
	f.Fuzz(func(t *testing.T, frame []byte) {
		ip, mac := answer(frame, ourMAC, netip.MustParseAddr("10.9.0.1"))
		if mac != nil && (!ip.IsValid() || len(mac) != 6) {
			t.Errorf("answer %v by %v", ip, mac)
		}
	})
}
