package polictest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

var worldCommands = map[string]command{
	// kill HOST...: out of the view; its last report stays. Example: kill a
	"kill": eachHost(func(_ *World, h *host) { h.up = false }, true),
	// start HOST...: back in the view in a new life, with nothing running. Example: start a
	"start": eachHost(func(w *World, h *host) { w.begin(h) }, true),
	// reboot HOST...: dead and back before any view without it was seen. Example: reboot a
	"reboot": eachHost(func(w *World, h *host) { w.begin(h) }, true),
	// hang HOST...: its agent does nothing any more, but it stays in the view. Example: hang a
	"hang":   eachHost(func(_ *World, h *host) { h.hung = true }, false),
	"unhang": eachHost(func(_ *World, h *host) { h.hung = false }, false),
	// disconnect HOST...: its agent does not reach the API server. Example: disconnect a
	"disconnect": eachHost(func(_ *World, h *host) { h.Connected = false }, false),
	"connect":    eachHost(func(_ *World, h *host) { h.Connected = true }, false),
	// forget HOST...: its Node object is deleted; the machine goes on as it is. Example: forget a
	"forget": eachHost(func(_ *World, h *host) { h.forgotten = true }, false),
	"drain":  eachHost(func(_ *World, h *host) { h.Availability = model.Drained }, false),
	"pause":  eachHost(func(_ *World, h *host) { h.Availability = model.Paused }, false),
	"resume": eachHost(func(_ *World, h *host) { h.Availability = model.Available }, false),
	// quorum lost|regained: no view reports; then everyone comes back in a new life.
	"quorum": func(e *Env, args []string) ([]string, error) {
		e.World.quorate = args[0] == "regained"
		for _, h := range e.World.hosts {
			if h.up && e.World.quorate {
				e.World.begin(h)
			}
		}
		e.World.newView()
		return nil, nil
	},
	// view NUMBER: the view that is reported has this number. Example: view 1
	"view": func(e *Env, args []string) ([]string, error) {
		n, err := strconv.ParseUint(args[0], 10, 64)
		e.World.view.Number = n
		return nil, err
	},
	// proof held|free: whether agents prove earlier owners harmless.
	"proof": func(e *Env, args []string) ([]string, error) {
		e.World.holdProof = args[0] == "held"
		return nil, nil
	},
	// fail GROUP RESOURCE [HOST]: the resource fails past its restarts where the group runs. Example: fail web app
	"fail": func(e *Env, args []string) ([]string, error) {
		g := e.World.group(args[0])
		h, err := e.World.runner(g, args[2:])
		if err != nil {
			return nil, err
		}
		l := h.local(g.UID)
		l.Failing, l.FailedAt, l.FailedNetwork = args[1], e.World.Now, ""
		return nil, nil
	},
	// lose GROUP RESOURCE NETWORK [HOST]: as fail, because the host has lost the network. Example: lose web ip lan
	"lose": func(e *Env, args []string) ([]string, error) {
		g := e.World.group(args[0])
		h, err := e.World.runner(g, args[3:])
		if err != nil {
			return nil, err
		}
		l := h.local(g.UID)
		l.Failing, l.FailedAt, l.FailedNetwork = args[1], e.World.Now, args[2]
		delete(h.Reached, args[2])
		return nil, nil
	},
	// reach NETWORK HOST...: the hosts hear somebody on the network again. Example: reach lan a b
	"reach": func(e *Env, args []string) ([]string, error) {
		for _, name := range args[1:] {
			h := e.World.host(name)
			if h == nil {
				return nil, fmt.Errorf("there is no host %s", name)
			}
			if h.Reached == nil {
				h.Reached = map[string]time.Time{}
			}
			h.Reached[args[0]] = e.World.Now
		}
		return nil, nil
	},
	// repair GROUP [HOST]: what had failed is online again. Example: repair web
	"repair": func(e *Env, args []string) ([]string, error) {
		g := e.World.group(args[0])
		h, err := e.World.runner(g, args[1:])
		if err != nil {
			return nil, err
		}
		h.local(g.UID).Failing = ""
		return nil, nil
	},
	// move GROUP TARGET [TOKEN]: an operator's wish. Example: move web best
	"move": func(e *Env, args []string) ([]string, error) {
		m := &model.MoveRequest{Target: args[1]}
		if len(args) > 2 {
			m.Token = args[2]
		}
		e.World.group(args[0]).Move = m
		return nil, nil
	},
	"delete": func(e *Env, args []string) ([]string, error) {
		e.World.group(args[0]).Deleting = true
		return nil, nil
	},
	// tick DURATION: time passes. Example: tick 10m
	"tick": func(e *Env, args []string) ([]string, error) {
		d, err := time.ParseDuration(args[0])
		e.World.Now = e.World.Now.Add(d)
		return nil, err
	},
	// at HH:MM: time passes until the next such time of day, UTC. Example: at 22:00
	"at": func(e *Env, args []string) ([]string, error) {
		t, err := time.Parse("15:04", args[0])
		if err != nil {
			return nil, err
		}
		now := e.World.Now
		next := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
		if !next.After(now) {
			next = next.AddDate(0, 0, 1)
		}
		e.World.Now = next
		return nil, nil
	},
	// clock RFC3339: time passes until then. Example: clock 2026-03-29T01:30:00+01:00
	"clock": func(e *Env, args []string) ([]string, error) {
		t, err := time.Parse(time.RFC3339, args[0])
		if err == nil && t.Before(e.World.Now) {
			err = fmt.Errorf("it is %s already", e.World.Now.Format(time.RFC3339))
		}
		if err == nil {
			e.World.Now = t.UTC()
		}
		return nil, err
	},
	// restore GROUP EPOCH: the API goes back to an earlier assignment of the group; the agents do not. Example: restore web 1
	"restore": func(e *Env, args []string) ([]string, error) {
		g := e.World.group(args[0])
		for _, a := range g.history {
			if strconv.Itoa(int(a.Epoch)) == args[1] {
				g.Assignment, g.Members = a, slices.Clone(g.pastMembers[a.Epoch])
				return nil, nil
			}
		}
		return nil, fmt.Errorf("%s has had no epoch %s", args[0], args[1])
	},
	// restored yes|no: whether the API is known to have gone back in time.
	"restored": func(e *Env, args []string) ([]string, error) {
		e.World.restored = args[0] == "yes"
		return nil, nil
	},
	// report GROUP HOST FIELD=EPOCH...: put words in an agent's mouth. Example: report web a floor=40
	"report": func(e *Env, args []string) ([]string, error) {
		l := e.World.host(args[1]).local(e.World.group(args[0]).UID)
		fields := map[string]*model.Epoch{"running": &l.Running, "released": &l.Released, "floor": &l.Floor, "proven": &l.Proven}
		return nil, settings(args[2:], func(k, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || fields[k] == nil {
				return fmt.Errorf("%s=%s: want running, released, floor or proven = epoch", k, v)
			}
			*fields[k] = model.Epoch(n)
			return nil
		})
	},
}

// eachHost makes a command that does something to every host that it names.
func eachHost(do func(w *World, h *host), changesView bool) command {
	return func(e *Env, args []string) ([]string, error) {
		for _, name := range args {
			h := e.World.host(name)
			if h == nil {
				return nil, fmt.Errorf("there is no host %s (of %s)", name, strings.Join(args, " "))
			}
			do(e.World, h)
		}
		if changesView {
			e.World.newView()
		}
		return nil, nil
	}
}
