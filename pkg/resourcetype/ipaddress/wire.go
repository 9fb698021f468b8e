package ipaddress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
)

// Timing of the duplicate check and the announcements. The check is short: the old owner is dead, or has given the address up and
// said so; it only finds a machine that is alive and on the same wire.
type Timing struct {
	// Probes are sent ProbeInterval apart, and answers awaited until ProbeWait after the last one.
	Probes        int
	ProbeInterval time.Duration
	ProbeWait     time.Duration
	// Announce are the times after the first announcement at which it is repeated, for those that missed it.
	Announce []time.Duration
}

// DefaultTiming takes 25 ms for the check.
func DefaultTiming() Timing {
	return Timing{
		Probes: 3, ProbeInterval: 5 * time.Millisecond, ProbeWait: 15 * time.Millisecond,
		Announce: []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second},
	}
}

// wire is a raw socket on one interface, for the frames of one family.
type wire struct {
	conn *packet.Conn
	ifi  *net.Interface
	ip   netip.Addr
}

func openWire(ifi *net.Interface, ip netip.Addr) (*wire, error) {
	kind := etherIPv6
	if ip.Is4() {
		kind = etherARP
	}
	conn, err := packet.Listen(ifi, packet.Raw, kind, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a raw socket on %s: %w", ifi.Name, err)
	}
	return &wire{conn: conn, ifi: ifi, ip: ip}, nil
}

func (w *wire) Close() { _ = w.conn.Close() }

func (w *wire) send(frames ...[]byte) error {
	for _, frame := range frames {
		if _, err := w.conn.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}); err != nil {
			return fmt.Errorf("sending on %s: %w", w.ifi.Name, err)
		}
	}
	return nil
}

// check finds out whether another machine has the address.
func (w *wire) check(ctx context.Context, timing Timing) error {
	probe, conflict := ndProbe(w.ifi.HardwareAddr, w.ip), ndConflict
	if w.ip.Is4() {
		probe, conflict = arpProbe(w.ifi.HardwareAddr, w.ip), arpConflict
	} else if err := w.conn.JoinGroup(multicastMAC(solicitedNode(w.ip))); err != nil {
		return fmt.Errorf("listening on %s for others that take the address: %w", w.ifi.Name, err)
	}
	buf := make([]byte, 1600)
	for n := range timing.Probes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.send(probe); err != nil {
			return err
		}
		wait := timing.ProbeInterval
		if n == timing.Probes-1 {
			wait = timing.ProbeWait
		}
		if err := w.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return fmt.Errorf("listening on %s: %w", w.ifi.Name, err)
		}
		for {
			size, _, err := w.conn.ReadFrom(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return fmt.Errorf("listening on %s: %w", w.ifi.Name, err)
			}
			if mac := conflict(buf[:size], w.ifi.HardwareAddr, w.ip); mac != nil {
				return &ConflictError{Address: w.ip, Interface: w.ifi.Name, MAC: mac}
			}
		}
	}
	return nil
}

// announce tells everybody on the wire who has the address now.
func (w *wire) announce() error {
	if w.ip.Is4() {
		return w.send(arpAnnouncements(w.ifi.HardwareAddr, w.ip)...)
	}
	return w.send(ndAnnouncement(w.ifi.HardwareAddr, w.ip))
}

// hasWire reports whether the interface has hardware addresses at all; a tunnel or the loopback interface has none to ask or tell.
func hasWire(ifi *net.Interface) bool {
	return len(ifi.HardwareAddr) == 6 && ifi.Flags&net.FlagLoopback == 0
}
