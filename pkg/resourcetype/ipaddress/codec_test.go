package ipaddress

import (
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
)

var (
	ourMAC   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	otherMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	ip4      = netip.MustParseAddr("10.9.0.50")
	ip6      = netip.MustParseAddr("fd09::50")
)

// TestFrames compares the frames with ones that were put together by hand from the RFCs.
func TestFrames(t *testing.T) {
	for name, tc := range map[string]struct {
		frame []byte
		want  string
	}{
		"ARP probe": {arpProbe(ourMAC, ip4), "ffffffffffff" + "020000000001" + "0806" +
			"0001" + "0800" + "0604" + "0001" + "020000000001" + "00000000" + "000000000000" + "0a090032"},
		"ARP announcement": {arpAnnouncements(ourMAC, ip4)[0], "ffffffffffff" + "020000000001" + "0806" +
			"0001" + "0800" + "0604" + "0001" + "020000000001" + "0a090032" + "000000000000" + "0a090032"},
		"ARP announcement as a reply": {arpAnnouncements(ourMAC, ip4)[1], "ffffffffffff" + "020000000001" + "0806" +
			"0001" + "0800" + "0604" + "0002" + "020000000001" + "0a090032" + "ffffffffffff" + "0a090032"},
		"ND probe": {ndProbe(ourMAC, ip6), "3333ff000050" + "020000000001" + "86dd" +
			"60000000" + "0018" + "3a" + "ff" + "00000000000000000000000000000000" + "ff0200000000000000000001ff000050" +
			"87" + "00" + "7cfe" + "00000000" + "fd090000000000000000000000000050"},
		"ND announcement": {ndAnnouncement(ourMAC, ip6), "333300000001" + "020000000001" + "86dd" +
			"60000000" + "0020" + "3a" + "ff" + "fd090000000000000000000000000050" + "ff020000000000000000000000000001" +
			"88" + "00" + "59eb" + "20000000" + "fd090000000000000000000000000050" + "0201020000000001"},
	} {
		if got := hex.EncodeToString(tc.frame); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tc.want)
		}
	}
}

func TestConflicts(t *testing.T) {
	other4, other6 := netip.MustParseAddr("10.9.0.51"), netip.MustParseAddr("fd09::51")
	reply := func(mac net.HardwareAddr, ip netip.Addr) []byte {
		return arp{operation: arpReply, senderMAC: mac, sender: ip, targetMAC: ourMAC, target: other4}.frame(ourMAC)
	}
	request := arp{operation: arpRequest, senderMAC: otherMAC, sender: other4, targetMAC: make(net.HardwareAddr, 6), target: ip4}.frame(broadcast)
	solicit := nd{kind: ndSolicitation, source: other6, to: solicitedNode(ip6), target: ip6, option: optionSource, mac: otherMAC}.frame(otherMAC)
	broken := ndAnnouncement(otherMAC, ip6)
	broken[len(broken)-1]++
	for name, tc := range map[string]struct {
		got  net.HardwareAddr
		want net.HardwareAddr
	}{
		"ARP reply":                     {arpConflict(reply(otherMAC, ip4), ourMAC, ip4), otherMAC},
		"ARP reply of our own":          {arpConflict(reply(ourMAC, ip4), ourMAC, ip4), nil},
		"ARP reply for another":         {arpConflict(reply(otherMAC, other4), ourMAC, ip4), nil},
		"ARP announcement of another":   {arpConflict(arpAnnouncements(otherMAC, ip4)[0], ourMAC, ip4), otherMAC},
		"ARP probe of another":          {arpConflict(arpProbe(otherMAC, ip4), ourMAC, ip4), otherMAC},
		"ARP probe of our own":          {arpConflict(arpProbe(ourMAC, ip4), ourMAC, ip4), nil},
		"a client that asks":            {arpConflict(request, ourMAC, ip4), nil},
		"garbage":                       {arpConflict([]byte{1, 2, 3}, ourMAC, ip4), nil},
		"advertisement":                 {ndConflict(ndAnnouncement(otherMAC, ip6), ourMAC, ip6), otherMAC},
		"advertisement of our own":      {ndConflict(ndAnnouncement(ourMAC, ip6), ourMAC, ip6), nil},
		"advertisement for another":     {ndConflict(ndAnnouncement(otherMAC, other6), ourMAC, ip6), nil},
		"ND probe of another":           {ndConflict(ndProbe(otherMAC, ip6), ourMAC, ip6), otherMAC},
		"a client that solicits":        {ndConflict(solicit, ourMAC, ip6), nil},
		"advertisement, wrong checksum": {ndConflict(broken, ourMAC, ip6), nil},
	} {
		if tc.got.String() != tc.want.String() {
			t.Errorf("%s: conflict with %v, want %v", name, tc.got, tc.want)
		}
	}
}

func FuzzARP(f *testing.F) {
	f.Add(arpProbe(ourMAC, ip4))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		a, err := parseARP(frame)
		if err != nil {
			return
		}
		back, err := parseARP(a.frame(broadcast))
		if err != nil || back.operation != a.operation || back.sender != a.sender || back.target != a.target ||
			back.senderMAC.String() != a.senderMAC.String() || back.targetMAC.String() != a.targetMAC.String() {
			t.Errorf("%+v reads as %+v, %v", a, back, err)
		}
		_ = arpConflict(frame, ourMAC, ip4)
	})
}

func FuzzND(f *testing.F) {
	f.Add(ndProbe(ourMAC, ip6))
	f.Add(ndAnnouncement(ourMAC, ip6))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, from, err := parseND(frame)
		if err != nil {
			return
		}
		back, _, err := parseND(m.frame(from))
		if err != nil || back.kind != m.kind || back.target != m.target || back.source != m.source || back.mac.String() != m.mac.String() {
			t.Errorf("%+v reads as %+v, %v", m, back, err)
		}
		_ = ndConflict(frame, ourMAC, ip6)
	})
}
