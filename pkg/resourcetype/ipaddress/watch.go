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

const (
	// guardInterval is how often a watched address is asked for at the guard, which tells nobody; it answers from memory.
	guardInterval = time.Second
	// The pauses before the kernel is asked for its news again.
	resubscribeSoon, resubscribeLater = 100 * time.Millisecond, time.Second
)

// SeesAll implements resourcetype.AllSeeing: Watch looks whenever something may have changed.
func (t *Type) SeesAll(*resourcetype.Instance) bool { return true }

// Watch sees at once that the address or its interface's carrier is gone, and soon that its lease is.
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
		guarded := time.NewTicker(guardInterval)
		defer guarded.Stop()
		for {
			// The first look is for what happened before the subscription.
			_, err := present(inst)
			if err == nil && !t.await(ctx, inst, w, guarded.C) {
				err = t.LooksAlive(ctx, inst)
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	return failed, nil
}

// await returns true when the kernel has told of something, false when ctx has ended or the address has lost its lease. That is a failure only
// while the node has a lease itself, and had it a second ago: the kernel is told a moment after the node has it back (R8).
func (t *Type) await(ctx context.Context, inst *resourcetype.Instance, w *watcher, guarded <-chan time.Time) bool {
	silent := false
	for {
		select {
		case <-ctx.Done():
			return false
		case <-w.poke:
			return true
		case <-guarded:
			before := silent
			if silent = !t.leased(w.ip) && inst.MayStart() == nil; before && silent {
				return false
			}
		}
	}
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

// ended subscribes again if the subscription was not ended by us, until it succeeds, and lets all watchers look for what was missed.
func (h *hub) ended(stop chan struct{}) {
	select {
	case <-stop:
		return
	default:
	}
	time.Sleep(resubscribeSoon)
	h.mu.Lock()
	mine := h.stop == stop
	if mine {
		close(stop)
		h.stop = nil
	}
	h.mu.Unlock()
	for mine && !h.again() {
		time.Sleep(resubscribeLater)
	}
}

// again subscribes for all watchers, and says whether there is nothing more to do: no watcher is left, or a new one has subscribed.
func (h *hub) again() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != nil || len(h.watchers) == 0 {
		return true
	}
	next := make(chan struct{})
	addrs, links, err := subscribe(next)
	for w := range h.watchers {
		w.wake()
	}
	if err != nil {
		close(next)
		return false
	}
	h.stop = next
	go h.run(next, addrs, links)
	return true
}
