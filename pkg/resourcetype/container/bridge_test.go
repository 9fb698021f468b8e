package container

import (
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/quorate/quorate/api/v1alpha1"
)

// ownNetwork puts the test, with all that it starts from now on, into a network of its own with a bridge.
func ownNetwork(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	run(t, `ip link set lo up; ip link add br0 type bridge; ip addr add 192.0.2.1/24 dev br0; ip -6 addr add fd00:5::1/64 dev br0 nodad
ip link set br0 up; ip route add default via 192.0.2.254`)
}

// run runs a script in the test's network.
func run(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// TestBridged: a container has an address of its own on the host's bridge, of which its group's clients are told; it is served from nowhere
// once it is offline.
func TestBridged(t *testing.T) {
	ownNetwork(t)
	r := newRig(t)
	typ := New(r.Socket)
	for name, address := range map[string]string{"v4": "192.0.2.7/24", "v6": "fd00:5::7/64"} {
		ip := netip.MustParsePrefix(address).Addr()
		inst := r.instance(name, func(p *v1alpha1.Container) {
			p.Network, p.Address = v1alpha1.ContainerNetworkBridged, address
			script("mkdir -p /tmp/www; echo served >/tmp/www/index.html; busybox ip addr >/data/addr; busybox ip route >/data/route; exec busybox httpd -f -p 80 -h /tmp/www")(p)
			p.Stop = &v1alpha1.Stop{Signal: "SIGKILL"} // it heeds no other
			p.IsAlive = &v1alpha1.Probe{HTTP: &v1alpha1.HTTPProbe{Port: 80, Path: "/", Host: ip.String()}}
		})
		if !typ.Exposed(inst.Spec) {
			t.Error("a container with an address of its own is not exposed")
		}
		r.online(typ, inst)
		mac := hardwareAddress(inst.Resource.UID).String()
		if addr := read(t, r.disk+"/a/b/addr"); !strings.Contains(addr, address) || !strings.Contains(addr, mac) {
			t.Errorf("inside are %s", addr)
		}
		if route := read(t, r.disk+"/a/b/route"); name == "v4" && !strings.Contains(route, "default via 192.0.2.254") {
			t.Errorf("its routes are %s", route)
		}
		if out := run(t, "curl -sS --max-time 3 http://"+netip.AddrPortFrom(ip, 80).String()+"/"); out != "served\n" {
			t.Errorf("it says %q", out)
		}
		rec, _, err := recorded(inst)
		if err != nil {
			t.Fatal(err)
		}
		run(t, "ip link set "+rec.Link+" nomaster")
		if err := typ.LooksAlive(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "no bridge any more") {
			t.Errorf("off the bridge: %v", err)
		}
		if err := typ.Offline(t.Context(), inst); err != nil {
			t.Fatal(err)
		}
		r.nothingLeft(inst)
		if _, err := netlink.LinkByName(rec.Link); err == nil {
			t.Errorf("the link %s is left", rec.Link)
		}
	}
}

// TestAddressInUse: another machine answers for the address, so nothing is started and nothing left.
func TestAddressInUse(t *testing.T) {
	ownNetwork(t)
	own, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	other, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := netns.Set(own); err != nil {
		t.Fatal(err)
	}
	bridge, err := netlink.LinkByName("br0")
	if err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = "port", bridge.Attrs().Index
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(other)}); err != nil {
		t.Fatal(err)
	}
	run(t, "ip link set port up")
	there, err := netlink.NewHandleAt(other)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	eth0, err := there.LinkByName("eth0")
	if err == nil {
		err = there.AddrAdd(eth0, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 7).To4(), Mask: net.CIDRMask(24, 32)}})
	}
	if err == nil {
		err = there.LinkSetUp(eth0)
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, "ping -c 3 -i 0.2 -W 1 192.0.2.7")
	r := newRig(t)
	for address, want := range map[string]string{"192.0.2.7/24": "address is in use", "192.0.2.1/24": "this host's own", "198.51.100.7/24": "no bridge of this host"} {
		inst := r.instance("late", func(p *v1alpha1.Container) { p.Network, p.Address = v1alpha1.ContainerNetworkBridged, address })
		if err := New(r.Socket).Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Online() with %s = %v, want %q", address, err, want)
		}
		r.nothingLeft(inst)
	}
}
