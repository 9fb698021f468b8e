package mesh

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// freePort is an address on which nothing listens.
func freePort(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// proxy is a network between two nodes.
type proxy struct {
	t       *testing.T
	address netip.AddrPort
	to      netip.AddrPort
	l       net.Listener

	mu sync.Mutex
	// frozen swallows everything and says nothing, as a network that is cut does.
	frozen bool
	// change is applied to what the dialing side sends: offset counts the bytes of the connection. It returns false to cut it.
	change func(offset int, b []byte) bool
	// recorded is what the dialing side of the last connection has sent: on a busy machine the first may not have come to anything.
	recorded []byte
	conns    []net.Conn
	made     int
}

func newProxy(t *testing.T, host string, to netip.AddrPort) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, to: to, l: l, address: l.Addr().(*net.TCPAddr).AddrPort()}
	go p.run()
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	return p
}

func (p *proxy) run() {
	for {
		conn, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns, p.made = append(p.conns, conn), p.made+1
		number, frozen := p.made, p.frozen
		p.mu.Unlock()
		if frozen {
			continue
		}
		other, err := net.Dial("tcp", p.to.String())
		if err != nil {
			_ = conn.Close()
			continue
		}
		p.mu.Lock()
		p.conns, p.recorded = append(p.conns, other), nil
		p.mu.Unlock()
		go p.pump(conn, other, number)
		go p.pump(other, conn, 0)
	}
}

// pump carries what the dialing side of the connection with this number sends, or with 0 what the other one answers.
func (p *proxy) pump(from, to net.Conn, number int) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for offset := 0; ; {
		n, err := from.Read(buffer)
		for p.isFrozen() {
			time.Sleep(10 * time.Millisecond)
		}
		b := buffer[:n]
		p.mu.Lock()
		if number == p.made && number > 0 {
			p.recorded = append(p.recorded, b...)
		}
		ok := number == 0 || p.change == nil || p.change(offset, b)
		p.mu.Unlock()
		offset += n
		if !ok || err != nil {
			return
		}
		if _, err := to.Write(b); err != nil {
			return
		}
	}
}

func (p *proxy) isFrozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen
}

func (p *proxy) freeze(frozen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = frozen
}

func (p *proxy) tamper(change func(offset int, b []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = change
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns, p.frozen = nil, false
}
