package nodeagent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// How long it takes to call a network lost whose link is up. A host whose word another one waits for looks once a second, too, and tells
// what it has found at once: reachAgree is there so that a switch that dies for all is not taken for a cable that dies for one.
const (
	// reachInterval is the time between two looks.
	reachInterval = time.Second
	// reachConfirm is how long nobody must have been heard on a network for it to be Isolated.
	reachConfirm = 3 * time.Second
	// reachAgree is how long it must have been Isolated, while another node reaches it, for resources to fail.
	reachAgree = 2 * time.Second
	// reachReturn is how long somebody must be heard again for it to be Reached; longer for one that flaps (heartbeat.Hysteresis).
	reachReturn = 2 * time.Second
)

// reachLook is what one look at a network has found.
type reachLook struct {
	// carrier says that the interface is up and has a link.
	carrier bool
	// asked are those who could be heard: other nodes, and gateways. heard says that one of them was.
	asked []string
	heard bool
}

// reach is how this host stands on one network; the zero value is not known yet.
type reach struct {
	state v1alpha1.NetworkReach
	// since is when the state began, in time since boot.
	since time.Duration
	// asked are whom it has asked at the last look, heard says that one of them was heard then.
	asked []string
	heard bool

	shown heartbeat.Hysteresis
	// silent is when the looks began that found nobody; 0 while somebody is heard.
	silent time.Duration
}

// look takes one look in, and says whether the state has changed.
func (r *reach) look(now time.Duration, l reachLook) bool {
	r.asked, r.heard = l.asked, l.carrier && l.heard
	next := v1alpha1.NetworkReachUnknown
	switch {
	case !l.carrier:
		r.silent = 0
		r.shown.Ill(now)
		next = v1alpha1.NetworkIsolated
	case len(l.asked) == 0:
		r.silent = 0
	case l.heard:
		r.silent = 0
		r.shown.Well(now, reachReturn)
		next = r.state
		if r.shown.Up() {
			next = v1alpha1.NetworkReached
		}
	case r.silent == 0:
		r.silent = now
		next = r.state
	case now-r.silent < reachConfirm:
		next = r.state
	default:
		r.shown.Ill(now)
		next = v1alpha1.NetworkIsolated
	}
	if next == "" {
		next = v1alpha1.NetworkReachUnknown
	}
	changed := next != r.state
	if changed {
		r.state, r.since = next, now
	}
	return changed
}

// otherReach is what another node says of the same network.
type otherReach struct {
	node string
	// mayTake says that it is a member of the view, and that the group could go there.
	mayTake bool
	state   v1alpha1.NetworkReach
}

// isolatedFrom says why what serves clients on the network is to fail here; nil when it is not. It never fails what could not be better
// elsewhere: some node that may have the group has to say that it hears somebody on the network. Nor what is well again: when a switch
// comes back for all, the first node that says so must not have the others give up theirs.
func isolatedFrom(network string, r *reach, now time.Duration, others []otherReach) error {
	if r == nil || r.heard || r.state != v1alpha1.NetworkIsolated || now-r.since < reachAgree {
		return nil
	}
	i := slices.IndexFunc(others, func(o otherReach) bool { return o.mayTake && o.state == v1alpha1.NetworkReached })
	if i < 0 {
		return nil
	}
	why := "its interface has no carrier"
	if len(r.asked) > 0 && r.silent != 0 {
		why = "nobody is heard there (" + strings.Join(r.asked, ", ") + ")"
	}
	return &resourcetype.NetworkLostError{Network: network, Message: fmt.Sprintf(
		"network %s is cut off from this host since %s: %s, and node %s reaches it; look at the switch port, the VLAN and the cables of this host",
		network, (now - r.since).Round(time.Second), why, others[i].node)}
}
