package nodeagent

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"
)

// servesInterval is how often the client networks are looked at even if the kernel tells of no change.
const servesInterval = time.Second

// clientWatch tells the membership machine whether this host can serve clients: a holder of the witness that cannot gives it up to a
// side that can (rule R8i).
type clientWatch struct {
	log      logr.Logger
	settings func() *Settings
	// tell is called with each finding; it is cheap when nothing has changed.
	tell func(context.Context, bool) error
}

// run looks until ctx ends.
func (c *clientWatch) run(ctx context.Context) {
	changes := make(chan netlink.LinkUpdate, 16)
	done := make(chan struct{})
	defer close(done)
	if err := netlink.LinkSubscribe(changes, done); err != nil {
		c.log.Info("The kernel does not tell of changes of interfaces; they are looked at every second", "reason", err.Error())
		changes = nil
	}
	ticker := time.NewTicker(servesInterval)
	defer ticker.Stop()
	for {
		if s := c.settings(); s != nil {
			if err := c.tell(ctx, serves(s, interfacesByAddress)); err != nil && ctx.Err() == nil {
				c.log.V(1).Info("Whether clients can be served was not taken in", "reason", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return
		case _, open := <-changes:
			if !open {
				changes = nil // the socket was lost; the ticker goes on
			}
		case <-ticker.C:
		}
	}
}

// serves says whether any network for clients works on this host. A host without one, or whose interfaces cannot be listed, is not
// said to be cut off: nothing is known of it.
func serves(s *Settings, interfaces func() (map[netip.Addr]net.Interface, error)) bool {
	var own map[string]string
	for _, n := range s.Nodes {
		if n.ID == s.Self {
			own = n.Addresses
		}
	}
	byAddress, err := interfaces()
	if err != nil {
		return true
	}
	looked := false
	for _, network := range s.Networks {
		address, err := netip.ParseAddr(own[network.Name])
		if !network.Clients || err != nil {
			continue
		}
		looked = true
		if i, found := byAddress[address]; found && i.Flags&net.FlagUp != 0 && i.Flags&net.FlagRunning != 0 {
			return true
		}
	}
	return !looked
}
