package ipaddress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ARP operations.
const (
	arpRequest = 1
	arpReply   = 2
)

const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
	etherLen  = 14
	arpLen    = 28
)

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// errNotOurs says that a frame is not of the kind that is looked for.
var errNotOurs = errors.New("another kind of frame")

// arp is an ARP message for Ethernet and IPv4 (RFC 826).
type arp struct {
	operation uint16
	senderMAC net.HardwareAddr
	sender    netip.Addr
	targetMAC net.HardwareAddr
	target    netip.Addr
}

// frame is the message in an Ethernet frame to the receiver.
func (a arp) frame(to net.HardwareAddr) []byte {
	b := ethernet(to, a.senderMAC, etherARP, arpLen)
	b = binary.BigEndian.AppendUint16(b, 1)      // Ethernet
	b = binary.BigEndian.AppendUint16(b, 0x0800) // IPv4
	b = append(b, 6, 4)
	b = binary.BigEndian.AppendUint16(b, a.operation)
	b = append(b, a.senderMAC...)
	b = append(b, a.sender.AsSlice()...)
	b = append(b, a.targetMAC...)
	return append(b, a.target.AsSlice()...)
}

// parseARP reads an Ethernet frame.
func parseARP(frame []byte) (arp, error) {
	if len(frame) < etherLen+arpLen || binary.BigEndian.Uint16(frame[12:]) != etherARP {
		return arp{}, errNotOurs
	}
	b := frame[etherLen:]
	if binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != 0x0800 || b[4] != 6 || b[5] != 4 {
		return arp{}, errNotOurs
	}
	return arp{
		operation: binary.BigEndian.Uint16(b[6:]),
		senderMAC: net.HardwareAddr(append([]byte{}, b[8:14]...)), sender: netip.AddrFrom4([4]byte(b[14:18])),
		targetMAC: net.HardwareAddr(append([]byte{}, b[18:24]...)), target: netip.AddrFrom4([4]byte(b[24:28])),
	}, nil
}

func ethernet(to, from net.HardwareAddr, kind uint16, payload int) []byte {
	b := make([]byte, 0, etherLen+payload)
	b = append(append(b, to...), from...)
	return binary.BigEndian.AppendUint16(b, kind)
}

// arpProbe asks whether anybody has the address, without claiming it (RFC 5227).
func arpProbe(mac net.HardwareAddr, ip netip.Addr) []byte {
	return arp{
		operation: arpRequest, senderMAC: mac, sender: netip.IPv4Unspecified(), targetMAC: make(net.HardwareAddr, 6), target: ip,
	}.frame(broadcast)
}

// arpAnnouncements tell everybody who has the address; some systems heed requests only and some replies only.
func arpAnnouncements(mac net.HardwareAddr, ip netip.Addr) [][]byte {
	request := arp{operation: arpRequest, senderMAC: mac, sender: ip, targetMAC: make(net.HardwareAddr, 6), target: ip}
	reply := arp{operation: arpReply, senderMAC: mac, sender: ip, targetMAC: broadcast, target: ip}
	return [][]byte{request.frame(broadcast), reply.frame(broadcast)}
}

// arpConflict returns who else has the address, or is about to take it, according to a frame; nil when the frame says nothing.
func arpConflict(frame []byte, own net.HardwareAddr, ip netip.Addr) net.HardwareAddr {
	a, err := parseARP(frame)
	if err != nil || string(a.senderMAC) == string(own) {
		return nil
	}
	has := a.sender == ip
	probes := a.operation == arpRequest && a.sender == netip.IPv4Unspecified() && a.target == ip
	if has || probes {
		return a.senderMAC
	}
	return nil
}

// ConflictError says that another machine uses the address.
type ConflictError struct {
	Address   netip.Addr
	Interface string
	MAC       net.HardwareAddr
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("address %s is in use on the network of %s, by the machine with hardware address %s", e.Address, e.Interface, e.MAC)
}
