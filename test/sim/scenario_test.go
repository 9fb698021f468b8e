package sim

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/scenariotest"
)

// TestScenarios runs the scenarios about votes: membership machines on simulated hosts, with a clock that runs true.
func TestScenarios(t *testing.T) {
	scenariotest.Run(t, "../scenarios/votes", func(*testing.T) scenariotest.Do {
		s := &voting{}
		return s.do
	})
}

// voting is the world of one scenario.
type voting struct{ w *World }

// do carries out one command:
//
//	cluster NODES [witness] [static]   hosts 1 to NODES, formed; with a witness; without dynamic votes
//	votes NODE=VOTES...                the configured votes of nodes
//	off NODE..., on NODE...            power, of all that are named at once
//	witness lost|back
//	force NODE, prevent NODE...        an operator gives it quorum by hand; it may only join others from now on
//	wait DURATION
//	show                               who acts, whose votes count, how many that are, and how many lives each node has begun
func (s *voting) do(t *testing.T, fields []string) ([]string, error) {
	name, args := fields[0], fields[1:]
	switch name {
	case "cluster":
		return nil, s.form(t, args)
	case "wait":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return nil, err
		}
		return nil, s.w.Run(s.w.Now() + d)
	case "show":
		return s.show(), nil
	case "witness":
		if args[0] == "back" {
			s.w.healWitness()
		} else {
			s.w.witness().failed[0] = true
		}
		return nil, nil
	case "votes":
		return nil, s.configure(args)
	}
	for _, arg := range args {
		id, err := strconv.Atoi(arg)
		if err != nil || id < 1 || id > len(s.w.Hosts) {
			return nil, fmt.Errorf("there is no host %s", arg)
		}
		if err := s.act(name, s.w.Host(model.NodeID(id))); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *voting) form(t *testing.T, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	opts := Options{Seed: 1, Nodes: n}
	for _, a := range args[1:] {
		opts.Witness, opts.StaticVotes = opts.Witness || a == "witness", opts.StaticVotes || a == "static"
	}
	s.w = calmWorld(t, opts)
	return nil
}

// configure changes the votes that nodes have by the Nodes' specs.
func (s *voting) configure(args []string) error {
	nodes := append([]membership.NodeConfig{}, s.w.cfg.Nodes...)
	for _, a := range args {
		id, votes, _ := strings.Cut(a, "=")
		i, err := strconv.Atoi(id)
		if err != nil {
			return err
		}
		if nodes[i-1].Votes, err = strconv.Atoi(votes); err != nil {
			return err
		}
	}
	s.w.cfg.Nodes = nodes
	s.w.setConfig(0)
	return nil
}

func (s *voting) act(name string, h *Host) (err error) {
	switch name {
	case "off":
		h.PowerOff()
	case "on":
		h.PowerOn()
	case "force":
		h.step(func(now time.Duration) { err = h.machine.Force(now) })
	case "prevent":
		h.step(func(now time.Duration) { h.machine.Prevent(true, now) })
		s.w.RunUntil(time.Second, func() bool { return !h.busy })
	default:
		err = fmt.Errorf("there is no command %q", name)
	}
	return err
}

func (s *voting) show() []string {
	var acting, lives []string
	votes := "nobody's votes count"
	for _, h := range s.w.Hosts {
		if !h.On() {
			continue
		}
		st := h.Status()
		lives = append(lives, fmt.Sprintf("%d:%d", h.id, st.Self.Generation))
		if !st.Acting {
			continue
		}
		if acting = append(acting, fmt.Sprint(h.id)); len(acting) > 1 {
			continue
		}
		var who []string
		for _, id := range st.Committed.Counting() {
			who = append(who, fmt.Sprint(id))
		}
		if st.Committed.WitnessCounts() {
			who = append(who, "witness")
		}
		votes = fmt.Sprintf("votes %s, %d in all", strings.Join(who, " "), st.Committed.Total())
		if st.Committed.Forced {
			votes += ", forced"
		}
	}
	if len(acting) == 0 {
		acting = []string{"nobody"}
	}
	return []string{"acting " + strings.Join(acting, " "), votes, "lives " + strings.Join(lives, " ")}
}
