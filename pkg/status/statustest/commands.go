package statustest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/status"
)

type command func(w *World, args []string) ([]string, error)

var commands = map[string]command{
	// cluster SETTING...: settings of the cluster. Example: cluster threshold=3 period=1h duration=2h maintenance=yes
	"cluster": func(w *World, args []string) ([]string, error) {
		for _, a := range args {
			k, v, _ := strings.Cut(a, "=")
			if err := set(&w.cluster.Spec, k, v); err != nil {
				return nil, err
			}
		}
		return nil, nil
	},
	// node NAME...: new Nodes, with the next ids, that were never in a view.
	"node": func(w *World, args []string) ([]string, error) {
		for _, name := range args {
			n := &node{life: 1}
			n.Name, n.Status.ID = name, int32(len(w.nodes)+1)
			w.nodes = append(w.nodes, n)
		}
		return nil, nil
	},
	// view NAME...: the quorate view that is reported has these members.
	"view": func(w *World, args []string) ([]string, error) { return nil, w.install(args) },
	// unseen NAME...: such a view was there for a moment, and the controller has not looked.
	"unseen": func(w *World, args []string) ([]string, error) { return nil, w.install(args) },
	// noview: no quorate view is reported any more.
	"noview": func(w *World, _ []string) ([]string, error) { w.view = nil; return nil, nil },
	// life NAME...: a new life begins on each, as after a boot; it takes part from the next view on.
	"life": func(w *World, args []string) ([]string, error) { return nil, w.each(args, func(n *node) { n.life++ }) },
	// flap NAME TIMES EVERY: leaves the view without notice and comes back in a new life, so many times. Example: flap a 3 10m
	"flap": func(w *World, args []string) ([]string, error) {
		n, err := w.named(args[0])
		if err != nil {
			return nil, err
		}
		times, _ := strconv.Atoi(args[1])
		every, err := time.ParseDuration(args[2])
		if err != nil {
			return nil, err
		}
		var all, others []string
		for _, o := range w.nodes {
			all = append(all, o.Name)
			if o != n {
				others = append(others, o.Name)
			}
		}
		for range times {
			w.now = w.now.Add(every)
			for _, members := range [][]string{others, all} {
				if err := w.install(members); err != nil {
					return nil, err
				}
				if err := w.look(); err != nil {
					return nil, err
				}
				if len(members) == len(others) {
					n.life++
				}
			}
		}
		return nil, nil
	},
	"pause":  available(v1alpha1.AvailabilityPaused),
	"drain":  available(v1alpha1.AvailabilityDrained),
	"resume": available(v1alpha1.AvailabilityAvailable),
	// maintenance on|off NAME...
	"maintenance": func(w *World, args []string) ([]string, error) {
		return nil, w.each(args[1:], func(n *node) { n.Spec.Maintenance = args[0] == "on" })
	},
	"delete": func(w *World, args []string) ([]string, error) {
		return nil, w.each(args, func(n *node) { n.DeletionTimestamp = &metav1.Time{Time: w.now} })
	},
	// owns NAME GROUPS: so many groups are assigned to the node.
	"owns": func(w *World, args []string) ([]string, error) {
		owns, err := strconv.Atoi(args[1])
		if err != nil {
			return nil, err
		}
		return nil, w.each(args[:1], func(n *node) { n.owns = owns })
	},
	// clear NAME [TOKEN]: an operator ends the quarantine.
	"clear": func(w *World, args []string) ([]string, error) {
		token := ""
		if len(args) > 1 {
			token = args[1]
		}
		n, err := w.named(args[0])
		if err != nil {
			return nil, err
		}
		st := status.Cleared(&n.Status, token, w.now)
		if st == nil {
			return []string{fmt.Sprintf("token %s has acted before", token)}, nil
		}
		n.Status = *st
		return nil, nil
	},
	// tick DURATION: time passes.
	"tick": func(w *World, args []string) ([]string, error) {
		d, err := time.ParseDuration(args[0])
		w.now = w.now.Add(d)
		return nil, err
	},
	"show": func(w *World, _ []string) ([]string, error) { return w.show(), nil },
	// why NAME CONDITION: the status, reason and message of a condition. Example: why a Quarantined
	"why": func(w *World, args []string) ([]string, error) {
		n, err := w.named(args[0])
		if err != nil {
			return nil, err
		}
		for _, c := range n.Status.Conditions {
			if c.Type == args[1] {
				return []string{fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)}, nil
			}
		}
		return nil, fmt.Errorf("%s has no condition %s", args[0], args[1])
	},
}

func available(a v1alpha1.Availability) command {
	return func(w *World, args []string) ([]string, error) {
		return nil, w.each(args, func(n *node) { n.Spec.Availability = a })
	}
}
