package ipaddress

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// ICMPv6 neighbour discovery (RFC 4861).
const (
	protocolICMPv6  = 58
	ndSolicitation  = 135
	ndAdvertisement = 136
	// Options: the hardware addresses of the sender of a solicitation and of the target of an advertisement.
	optionSource, optionTarget = 1, 2
	flagOverride               = 0x20000000

	ip6Len = 40
	// ndLen is a message without options, optionLen one hardware address.
	ndLen, optionLen = 24, 8
)

var allNodes = netip.MustParseAddr("ff02::1")

// nd is a neighbour solicitation or advertisement.
type nd struct {
	kind   byte
	flags  uint32
	source netip.Addr
	to     netip.Addr
	target netip.Addr
	// mac is the option with a hardware address; nil for none.
	option byte
	mac    net.HardwareAddr
}

// frame is the message in an Ethernet frame.
func (m nd) frame(from net.HardwareAddr) []byte {
	length := ndLen
	if m.mac != nil {
		length += optionLen
	}
	icmp := make([]byte, 0, length)
	icmp = append(icmp, m.kind, 0, 0, 0)
	icmp = binary.BigEndian.AppendUint32(icmp, m.flags)
	icmp = append(icmp, m.target.AsSlice()...)
	if m.mac != nil {
		icmp = append(icmp, m.option, 1)
		icmp = append(icmp, m.mac...)
	}
	binary.BigEndian.PutUint16(icmp[2:], checksum(m.source, m.to, icmp))

	b := ethernet(multicastMAC(m.to), from, etherIPv6, ip6Len+length)
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, protocolICMPv6, 255)
	b = append(b, m.source.AsSlice()...)
	b = append(b, m.to.AsSlice()...)
	return append(b, icmp...)
}

// parseND reads an Ethernet frame. Messages with extension headers are none of neighbour discovery's.
func parseND(frame []byte) (m nd, from net.HardwareAddr, err error) {
	icmp, source, to := icmpOf(frame)
	if len(icmp) < ndLen || icmp[0] != ndSolicitation && icmp[0] != ndAdvertisement || icmp[1] != 0 || checksum(source, to, icmp) != 0 {
		return nd{}, nil, errNotOurs
	}
	m = nd{
		kind: icmp[0], flags: binary.BigEndian.Uint32(icmp[4:]), source: source, to: to,
		target: netip.AddrFrom16([16]byte(icmp[8:24])),
	}
	for rest := icmp[ndLen:]; len(rest) >= optionLen; {
		size := int(rest[1]) * 8
		if size == 0 || size > len(rest) {
			return nd{}, nil, errNotOurs
		}
		if (rest[0] == optionSource || rest[0] == optionTarget) && size == optionLen {
			m.option, m.mac = rest[0], net.HardwareAddr(append([]byte{}, rest[2:8]...))
		}
		rest = rest[size:]
	}
	return m, net.HardwareAddr(append([]byte{}, frame[6:12]...)), nil
}

// icmpOf returns the ICMPv6 message in a frame that has come from this very link; nil when there is none.
func icmpOf(frame []byte) (icmp []byte, source, to netip.Addr) {
	if len(frame) < etherLen+ip6Len || binary.BigEndian.Uint16(frame[12:]) != etherIPv6 {
		return nil, source, to
	}
	ip := frame[etherLen:]
	length := int(binary.BigEndian.Uint16(ip[4:]))
	// A hop limit of 255 cannot have passed a router.
	if ip[0]>>4 != 6 || ip[6] != protocolICMPv6 || ip[7] != 255 || len(ip) < ip6Len+length {
		return nil, source, to
	}
	return ip[ip6Len : ip6Len+length], netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
}

// checksum is the Internet checksum of the message and its pseudo header; 0 for a message that has the right one in it.
func checksum(source, to netip.Addr, icmp []byte) uint16 {
	var sum uint32
	add := func(b []byte) {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		if len(b)%2 == 1 {
			sum += uint32(b[len(b)-1]) << 8
		}
	}
	add(source.AsSlice())
	add(to.AsSlice())
	sum += uint32(len(icmp)) + protocolICMPv6
	add(icmp)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// multicastMAC is the hardware address of an IPv6 multicast group.
func multicastMAC(ip netip.Addr) net.HardwareAddr {
	b := ip.As16()
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// solicitedNode is the group of those that may have the address.
func solicitedNode(ip netip.Addr) netip.Addr {
	b := ip.As16()
	return netip.AddrFrom16([16]byte{0xff, 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// ndProbe asks whether anybody has the address (RFC 4862, duplicate address detection).
func ndProbe(mac net.HardwareAddr, ip netip.Addr) []byte {
	return nd{kind: ndSolicitation, source: netip.IPv6Unspecified(), to: solicitedNode(ip), target: ip}.frame(mac)
}

// ndAnnouncement is an unsolicited advertisement to all.
func ndAnnouncement(mac net.HardwareAddr, ip netip.Addr) []byte {
	return nd{kind: ndAdvertisement, flags: flagOverride, source: ip, to: allNodes, target: ip, option: optionTarget, mac: mac}.frame(mac)
}

// ndConflict returns who else has the address, or is about to take it, according to a frame; nil when the frame says nothing.
func ndConflict(frame []byte, own net.HardwareAddr, ip netip.Addr) net.HardwareAddr {
	m, from, err := parseND(frame)
	if err != nil || string(from) == string(own) || m.target != ip {
		return nil
	}
	if m.kind == ndAdvertisement {
		if m.mac != nil {
			from = m.mac
		}
		if string(from) == string(own) {
			return nil
		}
		return from
	}
	// A solicitation without a source is another machine's duplicate check.
	if m.source == netip.IPv6Unspecified() {
		return from
	}
	return nil
}
