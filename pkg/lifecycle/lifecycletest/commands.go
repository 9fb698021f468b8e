package lifecycletest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
)

type command func(w *World, args []string) ([]string, error)

var commands = map[string]command{
	// disk, address, process NAME [SETTING...]: a resource of the group. Example: process app on=disk,ip1|ip2 threshold=1
	"disk":    add(lifecycle.KindDisk),
	"address": add(lifecycle.KindAddress),
	"process": add(lifecycle.KindProcess),
	// set NAME SETTING...: edit a resource; takes effect at the next run or edit.
	"set": func(w *World, args []string) ([]string, error) {
		spec := w.spec(args[0])
		if spec == nil {
			return nil, fmt.Errorf("there is no resource %s", args[0])
		}
		return nil, settings(spec, args[1:])
	},
	// remove NAME: the resource leaves the group.
	"remove": func(w *World, args []string) ([]string, error) {
		w.specs = slices.DeleteFunc(w.specs, func(r lifecycle.Resource) bool { return r.Name == args[0] })
		return nil, nil
	},
	// run: the group is assigned to this node, at the next epoch. A refusal is printed.
	"run": func(w *World, _ []string) ([]string, error) { w.epoch++; return refusal(w.apply(true)), nil },
	// edit: the changed specs reach the node at the same epoch.
	"edit": func(w *World, _ []string) ([]string, error) { return refusal(w.apply(true)), nil },
	// withdraw: the group is taken from this node.
	"withdraw": func(w *World, _ []string) ([]string, error) { w.epoch++; return nil, w.apply(false) },
	// maintenance on|off
	"maintenance": func(w *World, args []string) ([]string, error) { w.frozen = args[0] == "on"; return nil, w.apply(true) },
	// call OP NAME [takes=D] [fails=WORD] [times=N]: how calls go from now on; OP is reserve, start, stop or kill, takes=ever hangs.
	// Example: call start app takes=5s fails=refused times=2
	"call": func(w *World, args []string) ([]string, error) {
		b := &behaviour{}
		for _, a := range args[2:] {
			k, v, _ := strings.Cut(a, "=")
			var err error
			switch {
			case k == "takes" && v == "ever":
				b.takes = never
			case k == "takes":
				b.takes, err = time.ParseDuration(v)
			case k == "fails":
				b.err = v
			case k == "times":
				b.times, err = strconv.Atoi(v)
			default:
				err = fmt.Errorf("a call has no setting %q", k)
			}
			if err != nil {
				return nil, err
			}
		}
		w.behaviours[args[0]+" "+args[1]] = b
		return nil, nil
	},
	// well OP NAME: such calls succeed at once again.
	"well": func(w *World, args []string) ([]string, error) {
		delete(w.behaviours, args[0]+" "+args[1])
		return nil, nil
	},
	// fail NAME [REASON]: a health check finds that it has failed, by default because it has exited.
	"fail": func(w *World, args []string) ([]string, error) {
		reason := lifecycle.ReasonExited
		if len(args) > 1 {
			reason = lifecycle.Reason(args[1])
		}
		return nil, w.fail(args[0], reason)
	},
	// fails NAME TIMES EVERY: so many such failures, the first after EVERY. Example: fails app 4 1m
	"fails": func(w *World, args []string) ([]string, error) {
		times, err := strconv.Atoi(args[1])
		if err != nil {
			return nil, err
		}
		every, err := time.ParseDuration(args[2])
		for range times {
			w.pass(every)
			if err := w.fail(args[0], lifecycle.ReasonExited); err != nil {
				return nil, err
			}
		}
		return nil, err
	},
	// progress NAME WORD: its call under way reports that it gets on.
	"progress": func(w *World, args []string) ([]string, error) {
		for _, j := range w.jobs {
			if j.UID == args[0] {
				w.step(lifecycle.Progress{UID: j.UID, Serial: j.Serial, Message: args[1]})
				return nil, nil
			}
		}
		return nil, fmt.Errorf("no call of %s is under way", args[0])
	},
	// restart-agent: the agent dies and another adopts what runs.
	"restart-agent": func(w *World, _ []string) ([]string, error) {
		w.m = lifecycle.Restore(w.m.Saved())
		w.jobs, w.checked = nil, map[string]uint64{}
		w.step(lifecycle.Tick{})
		w.settle()
		return nil, nil
	},
	// tick DURATION: time passes.
	"tick": func(w *World, args []string) ([]string, error) {
		d, err := time.ParseDuration(args[0])
		w.pass(d)
		return nil, err
	},
	// events: what has happened since the last time, with the time since the scenario began.
	"events": func(w *World, _ []string) ([]string, error) {
		out := w.events
		if w.events = nil; out == nil {
			out = []string{"nothing"}
		}
		return out, nil
	},
	// forget: what has happened up to now is of no interest.
	"forget": func(w *World, _ []string) ([]string, error) { w.events = nil; return nil, nil },
	// show: the group's state and those of its resources.
	"show": func(w *World, _ []string) ([]string, error) { return w.show(), nil },
	// why NAME: the message of its state.
	"why": func(w *World, args []string) ([]string, error) {
		for _, r := range w.m.Report().Resources {
			if r.Name == args[0] {
				return []string{string(r.Reason) + ": " + r.Message}, nil
			}
		}
		return nil, fmt.Errorf("there is no resource %s", args[0])
	},
}

func refusal(err error) []string {
	if err == nil {
		return nil
	}
	return []string{"refused: " + err.Error()}
}

func (w *World) fail(name string, reason lifecycle.Reason) error {
	serial, ok := w.checked[name]
	if !ok {
		return fmt.Errorf("%s is not online", name)
	}
	w.say("%s fails: %s", name, reason)
	w.up[name] = false
	w.step(lifecycle.Unhealthy{UID: name, Serial: serial, Reason: reason, Message: "as the scenario says"})
	w.settle()
	return nil
}

func (w *World) show() []string {
	report := w.m.Report()
	out := []string{"group " + string(report.State)}
	for _, r := range report.Resources {
		line := r.Name + " " + string(r.State)
		if r.Reason != lifecycle.ReasonNone {
			line += "/" + string(r.Reason)
		}
		if r.Restarts > 0 {
			line += fmt.Sprintf(" restarts %d", r.Restarts)
		}
		out = append(out, line)
	}
	return out
}

func add(kind lifecycle.Kind) command {
	return func(w *World, args []string) ([]string, error) {
		r := lifecycle.Resource{
			UID: args[0], Name: args[0], Kind: kind, Online: true, Fingerprint: "1", Timing: lifecycle.Timing{RetryPeriod: time.Hour}.WithDefaults(),
		}
		if kind == lifecycle.KindDisk {
			r.Device = "dev-" + r.Name
		}
		w.specs = append(w.specs, r)
		return nil, settings(&w.specs[len(w.specs)-1], args[1:])
	}
}

func settings(r *lifecycle.Resource, args []string) error {
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%q is not of the form setting=value", a)
		}
		if err := setting(r, k, v); err != nil {
			return err
		}
	}
	return nil
}

func setting(r *lifecycle.Resource, k, v string) (err error) {
	durations := map[string]*time.Duration{
		"pending": &r.Timing.Pending, "deadlock": &r.Timing.Deadlock, "retry": &r.Timing.RetryPeriod, "period": &r.Timing.Restart.Period,
		"delay": &r.Timing.Restart.Delay,
	}
	if d := durations[k]; d != nil {
		*d, err = time.ParseDuration(v)
		return err
	}
	switch k {
	case "on":
		r.DependsOn = nil
		for _, d := range strings.Split(v, ",") {
			r.DependsOn = append(r.DependsOn, lifecycle.Dependency{AnyOf: strings.Split(d, "|")})
		}
	case "policy":
		r.Timing.Restart.Policy = lifecycle.RestartPolicy(v)
	case "threshold":
		r.Timing.Restart.Threshold, err = strconv.Atoi(v)
	case "wanted":
		r.Online = v == "online"
	case "parameters":
		r.Fingerprint = v
	default:
		return fmt.Errorf("a resource has no setting %q", k)
	}
	return err
}
