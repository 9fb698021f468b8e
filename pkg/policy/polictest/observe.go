package polictest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
)

var observeCommands = map[string]command{
	// decide: print the plan, carry out nothing.
	"decide": func(e *Env, _ []string) ([]string, error) {
		s := e.World.Snapshot()
		e.last = policy.Plan(s, e.World.Now)
		var out []string
		for _, d := range e.last.Decisions {
			out = append(out, formatDecision(groupOf(s, d.Group), d))
		}
		return e.orNothing(out), nil
	},
	// apply [GROUP...]: carry out one plan, or only what it decides about these groups; the agents do nothing yet. Example: apply web
	"apply": func(e *Env, args []string) ([]string, error) {
		s := e.World.Snapshot()
		e.last = policy.Plan(s, e.World.Now)
		if len(args) > 0 {
			e.last.Decisions = slices.DeleteFunc(e.last.Decisions, func(d policy.Decision) bool { return !containsString(args, d.Group.Name) })
		}
		return e.orNothing(e.apply(s)), nil
	},
	// act: let every agent act once.
	"act": func(e *Env, _ []string) ([]string, error) {
		if out := e.World.Act(); len(out) > 0 {
			return out, nil
		}
		return []string{"nothing happens"}, nil
	},
	// run: plans and agents in turn, to a fixed point.
	"run": func(e *Env, _ []string) ([]string, error) {
		out, err := e.Run()
		return e.orNothing(out), err
	},
	// state [GROUP...]: where the groups are.
	"state": func(e *Env, args []string) ([]string, error) {
		var out []string
		for _, g := range e.World.groups {
			if len(args) == 0 || containsString(args, g.Key.Name) {
				out = append(out, e.World.formatState(g))
			}
		}
		return out, nil
	},
	// why GROUP: the message with which it waits. Example: why web
	"why": func(e *Env, args []string) ([]string, error) {
		n := policy.Plan(e.World.Snapshot(), e.World.Now).Groups[key(args[0])]
		if n.Message == "" {
			return []string{"it waits for nothing"}, nil
		}
		return []string{n.Message}, nil
	},
	// note GROUP: the sentence of the group's decision. Example: note web
	"note": func(e *Env, args []string) ([]string, error) {
		for _, d := range policy.Plan(e.World.Snapshot(), e.World.Now).Decisions {
			if d.Group == key(args[0]) {
				return []string{d.Note}, nil
			}
		}
		return []string{"no decision"}, nil
	},
	// decision GROUP: what the line of the group's decision leaves out: its reason, and what is written down with it. Example: decision web
	"decision": func(e *Env, args []string) ([]string, error) {
		for _, d := range policy.Plan(e.World.Snapshot(), e.World.Now).Decisions {
			if d.Group == key(args[0]) {
				return formatDetails(d), nil
			}
		}
		return []string{"no decision"}, nil
	},
	// candidates GROUP: the candidates that the plan publishes of it. Example: candidates web
	"candidates": func(e *Env, args []string) ([]string, error) {
		var out []string
		for _, c := range policy.Plan(e.World.Snapshot(), e.World.Now).Groups[key(args[0])].Candidates.All() {
			out = append(out, formatCandidate(c))
		}
		if len(out) == 0 {
			out = []string{"no node was looked for"}
		}
		return out, nil
	},
	// explain GROUP: all nodes as candidates. Example: explain web
	"explain": func(e *Env, args []string) ([]string, error) {
		var out []string
		for _, c := range policy.Explain(e.World.Snapshot(), key(args[0]), e.World.Now) {
			out = append(out, formatCandidate(c))
		}
		return out, nil
	},
	// verdict GROUP NODE: the sentence about one node as a place for the group. Example: verdict web a
	"verdict": func(e *Env, args []string) ([]string, error) {
		for _, c := range policy.Explain(e.World.Snapshot(), key(args[0]), e.World.Now) {
			if c.Node == args[1] && c.Message != "" {
				return []string{c.Message}, nil
			}
		}
		return []string{"nothing to say"}, nil
	},
	// next: when the plan wants to be made again though nothing changes.
	"next": func(e *Env, _ []string) ([]string, error) {
		r := policy.Plan(e.World.Snapshot(), e.World.Now)
		if r.NextCheck.IsZero() {
			return []string{"never"}, nil
		}
		return []string{formatTime(r.NextCheck)}, nil
	},
	// aggregate STATE...: the state of a group with resources in these states. Example: aggregate Online Failed
	"aggregate": func(_ *Env, args []string) ([]string, error) {
		states := make([]model.ResourceState, len(args))
		for i, a := range args {
			states[i] = model.ResourceState(a)
		}
		return []string{fmt.Sprintf("%s -> %s", orDash(strings.Join(args, " ")), model.AggregateGroupState(states))}, nil
	},
}

// orNothing adds what groups wait for, and says so when there is nothing to say.
func (e *Env) orNothing(out []string) []string {
	out = append(out, formatNotes(e.last)...)
	if len(out) == 0 {
		return []string{"nothing to do"}
	}
	return out
}

func key(name string) model.GroupKey { return model.GroupKey{Namespace: Namespace, Name: name} }

func containsString(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
