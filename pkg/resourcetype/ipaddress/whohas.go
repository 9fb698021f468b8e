package ipaddress

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// ErrNoSource says that the interface has no address of the family to ask from.
var ErrNoSource = errors.New("the interface has no address of that family to ask from")

// WhoHas asks once on the interface who has the addresses, all at the same moment, and returns the hardware addresses of those that
// answer within wait. It asks as an ordinary host that wants to reach them does, from an address of its own: nobody's duplicate check
// takes it for a rival, and only what is sent in answer counts, so an announcement that passes by does not.
func WhoHas(ctx context.Context, ifi *net.Interface, addresses []netip.Addr, wait time.Duration) (map[netip.Addr][]net.HardwareAddr, error) {
	answers := map[netip.Addr][]net.HardwareAddr{}
	for _, v4 := range []bool{true, false} {
		var family []netip.Addr
		for _, ip := range addresses {
			if ip.Is4() == v4 {
				family = append(family, ip)
			}
		}
		if len(family) == 0 {
			continue
		}
		if err := whoHas(ctx, ifi, family, wait, answers); err != nil {
			return answers, err
		}
	}
	return answers, nil
}

// whoHas asks for addresses of one family.
func whoHas(ctx context.Context, ifi *net.Interface, family []netip.Addr, wait time.Duration, answers map[netip.Addr][]net.HardwareAddr) error {
	source, err := sourceOf(ifi, family[0])
	if err != nil {
		return err
	}
	w, err := openWire(ifi, family[0])
	if err != nil {
		return err
	}
	defer w.Close()
	deadline := time.Now().Add(wait)
	if until, ok := ctx.Deadline(); ok && until.Before(deadline) {
		deadline = until
	}
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("listening on %s: %w", ifi.Name, err)
	}
	for _, ip := range family {
		if err := w.send(question(ifi.HardwareAddr, source, ip)); err != nil {
			return err
		}
	}
	buf := make([]byte, 1600)
	for {
		n, _, err := w.conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("listening on %s: %w", ifi.Name, err)
		}
		ip, mac := answer(buf[:n], ifi.HardwareAddr, source)
		known := slices.ContainsFunc(answers[ip], func(m net.HardwareAddr) bool { return string(m) == string(mac) })
		if mac != nil && !known && slices.Contains(family, ip) {
			answers[ip] = append(answers[ip], mac)
		}
	}
}

// sourceOf is an address of the interface from which the other one can be asked for.
func sourceOf(ifi *net.Interface, ip netip.Addr) (netip.Addr, error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("listing the addresses of %s: %w", ifi.Name, err)
	}
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().Is4() == ip.Is4() && prefix.Addr() != ip {
			return prefix.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s: %w", ifi.Name, ErrNoSource)
}

// question asks who has the address, and names the asker.
func question(mac net.HardwareAddr, source, ip netip.Addr) []byte {
	if ip.Is4() {
		return arp{operation: arpRequest, senderMAC: mac, sender: source, targetMAC: make(net.HardwareAddr, 6), target: ip}.frame(broadcast)
	}
	return nd{kind: ndSolicitation, source: source, to: solicitedNode(ip), target: ip, option: optionSource, mac: mac}.frame(mac)
}

// answer returns the address that a frame tells the asker about, and who has it; a nil MAC when it is no answer.
func answer(frame []byte, own net.HardwareAddr, source netip.Addr) (netip.Addr, net.HardwareAddr) {
	if len(frame) < etherLen {
		return netip.Addr{}, nil
	}
	if binary.BigEndian.Uint16(frame[12:]) == etherARP {
		a, err := parseARP(frame)
		if err != nil || a.operation != arpReply || string(a.targetMAC) != string(own) || a.target != source {
			return netip.Addr{}, nil
		}
		return a.sender, a.senderMAC
	}
	m, from, err := parseND(frame)
	if err != nil || m.kind != ndAdvertisement || m.to != source {
		return netip.Addr{}, nil
	}
	if m.mac != nil {
		from = m.mac
	}
	return m.target, from
}
