package collect

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/vishvananda/netns"

	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/resourcetype/ipaddress"
	"github.com/quorate/quorate/pkg/snapshot"
)

// answerWait is how long answers are awaited: hosts of one wire answer within a millisecond, busy ones within a few.
const answerWait = 60 * time.Millisecond

// Addresses asks, from a host on the clients' networks, who answers for an address.
type Addresses struct {
	// From is the host's name. PID is a process of it, whose network namespace is asked from; 0 for that of this process.
	From string
	PID  int
}

// Ask asks for all addresses of the cluster's groups. Where more than one machine answers, all are asked again at once, and only those
// that answer twice count. Addresses on no network of this host are told as unseen.
func (a *Addresses) Ask(ctx context.Context, o *snapshot.Objects) ([]audit.Answer, []audit.Unseen) {
	var wanted []netip.Addr
	for _, r := range o.Resources {
		if ip, err := netip.ParseAddr(audit.AddressOf(&r.Spec)); err == nil && !slices.Contains(wanted, ip) {
			wanted = append(wanted, ip)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	var answers []audit.Answer
	var unseen []audit.Unseen
	err := a.inNetwork(func() error {
		byInterface, strange, err := sortByInterface(wanted)
		for _, ip := range strange {
			unseen = append(unseen, audit.Unseen{Source: audit.SourceAddresses, Object: ip.String(), Message: a.From + " has no interface on its network"})
		}
		if err != nil {
			return err
		}
		for name, ips := range byInterface {
			found, err := ask(ctx, name, ips)
			if err != nil {
				return err
			}
			for _, ip := range ips {
				answers = append(answers, audit.Answer{IP: ip.String(), At: time.Now(), From: a.From, MACs: found[ip]})
			}
		}
		return nil
	})
	if err != nil {
		unseen = append(unseen, audit.Unseen{Source: audit.SourceAddresses, Object: a.From, Message: err.Error()})
	}
	return answers, unseen
}

func ask(ctx context.Context, name string, ips []netip.Addr) (map[netip.Addr][]string, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	first, err := ipaddress.WhoHas(ctx, ifi, ips, answerWait)
	if err != nil {
		return nil, err
	}
	var twice []netip.Addr
	found := map[netip.Addr][]string{}
	for ip, macs := range first {
		if len(macs) > 1 {
			twice = append(twice, ip)
			continue
		}
		found[ip] = text(macs)
	}
	if len(twice) == 0 {
		return found, nil
	}
	second, err := ipaddress.WhoHas(ctx, ifi, twice, answerWait)
	if err != nil {
		return nil, err
	}
	for _, ip := range twice {
		again := text(second[ip])
		found[ip] = slices.DeleteFunc(text(first[ip]), func(mac string) bool { return !slices.Contains(again, mac) })
	}
	return found, nil
}

func text(macs []net.HardwareAddr) []string {
	var all []string
	for _, mac := range macs {
		all = append(all, mac.String())
	}
	slices.Sort(all)
	return all
}

// sortByInterface finds the interface on whose network each address is; strange ones are on none.
func sortByInterface(wanted []netip.Addr) (byInterface map[string][]netip.Addr, strange []netip.Addr, err error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, nil, fmt.Errorf("listing the interfaces: %w", err)
	}
	byInterface = map[string][]netip.Addr{}
next:
	for _, ip := range wanted {
		for _, ifi := range interfaces {
			if len(ifi.HardwareAddr) != 6 || ifi.Flags&net.FlagUp == 0 {
				continue
			}
			addrs, err := ifi.Addrs()
			if err != nil {
				return nil, nil, fmt.Errorf("listing the addresses of %s: %w", ifi.Name, err)
			}
			for _, a := range addrs {
				if prefix, err := netip.ParsePrefix(a.String()); err == nil && !prefix.IsSingleIP() && prefix.Contains(ip) {
					byInterface[ifi.Name] = append(byInterface[ifi.Name], ip)
					continue next
				}
			}
		}
		strange = append(strange, ip)
	}
	return byInterface, strange, nil
}

// inNetwork runs do in the network namespace, on a thread that is given up if it cannot come back.
func (a *Addresses) inNetwork(do func() error) error {
	if a.PID == 0 {
		return do()
	}
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		here, err := netns.Get()
		if err != nil {
			failed <- fmt.Errorf("finding the network namespace: %w", err)
			return
		}
		defer func() { _ = here.Close() }()
		there, err := netns.GetFromPid(a.PID)
		if err == nil {
			defer func() { _ = there.Close() }()
			err = netns.Set(there)
		}
		if err != nil {
			failed <- fmt.Errorf("entering the network of %s: %w", a.From, err)
			return
		}
		failed <- do()
		if netns.Set(here) == nil {
			runtime.UnlockOSThread() // else the thread ends with this goroutine
		}
	}()
	return <-failed
}
