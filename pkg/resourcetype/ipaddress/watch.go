package ipaddress

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// Watch sees at once that the address or its interface's carrier is gone.
func (t *Type) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	var r record
	if _, err := inst.LoadData(&r); err != nil {
		return nil, err
	}
	w := &watcher{ip: r.Address.Addr(), poke: make(chan struct{}, 1)}
	if link, err := netlink.LinkByName(r.Interface); err == nil {
		w.link = link.Attrs().Index
	}
	if err := t.hub.join(w); err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		defer t.hub.leave(w)
		for {
			// The first look is for what happened before the subscription.
			if err := t.LooksAlive(ctx, inst); err != nil && ctx.Err() == nil {
				failed <- err
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-w.poke:
			}
		}
	}()
	return failed, nil
}

// watcher is poked when something has happened to its address or link.
type watcher struct {
	ip   netip.Addr
	link int
	poke chan struct{}
}

func (w *watcher) wake() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// hub gives the kernel's news of addresses and links to all watchers, from one subscription, which lives as long as there are any.
type hub struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
	stop     chan struct{}
}

func (h *hub) join(w *watcher) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop == nil {
		stop := make(chan struct{})
		addrs, links, err := subscribe(stop)
		if err != nil {
			return err
		}
		h.stop = stop
		if h.watchers == nil {
			h.watchers = map[*watcher]struct{}{}
		}
		go h.run(stop, addrs, links)
	}
	h.watchers[w] = struct{}{}
	return nil
}

func (h *hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
	if len(h.watchers) == 0 && h.stop != nil {
		close(h.stop)
		h.stop = nil
	}
}

func subscribe(stop chan struct{}) (chan netlink.AddrUpdate, chan netlink.LinkUpdate, error) {
	addrs, links := make(chan netlink.AddrUpdate, 256), make(chan netlink.LinkUpdate, 256)
	if err := netlink.AddrSubscribe(addrs, stop); err != nil {
		return nil, nil, fmt.Errorf("subscribing to changes of addresses: %w", err)
	}
	if err := netlink.LinkSubscribe(links, stop); err != nil {
		return nil, nil, fmt.Errorf("subscribing to changes of interfaces: %w", err)
	}
	return addrs, links, nil
}

// run ends when the subscription does: at the last watcher's end, or when the kernel had more to tell than the socket holds.
func (h *hub) run(stop chan struct{}, addrs chan netlink.AddrUpdate, links chan netlink.LinkUpdate) {
	for {
		select {
		case u, open := <-addrs:
			if !open {
				h.ended(stop)
				return
			}
			if ip, ok := netip.AddrFromSlice(u.LinkAddress.IP); ok && !u.NewAddr {
				h.wake(func(w *watcher) bool { return w.ip == ip.Unmap() })
			}
		case u, open := <-links:
			if !open {
				h.ended(stop)
				return
			}
			// Drivers tell the carrier's loss in several steps; the watcher's look finds out.
			index := int(u.Index)
			h.wake(func(w *watcher) bool { return w.link == index })
		}
	}
}

func (h *hub) wake(which func(*watcher) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		if which(w) {
			w.wake()
		}
	}
}

// ended subscribes again if the subscription was not ended by us, and lets all watchers look for what was missed. If that fails, the
// polls go on, and the next watcher tries again.
func (h *hub) ended(stop chan struct{}) {
	const pause = 100 * time.Millisecond
	select {
	case <-stop:
		return
	default:
	}
	time.Sleep(pause)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != stop {
		return
	}
	close(stop)
	h.stop = nil
	if len(h.watchers) == 0 {
		return
	}
	next := make(chan struct{})
	addrs, links, err := subscribe(next)
	if err != nil {
		return
	}
	h.stop = next
	for w := range h.watchers {
		w.wake()
	}
	go h.run(next, addrs, links)
}
