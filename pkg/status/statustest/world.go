package statustest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quarantine"
	"github.com/quorate/quorate/pkg/status"
)

// World is a cluster's nodes with the view that is reported.
type World struct {
	now     time.Time
	cluster *v1alpha1.Cluster
	nodes   []*node
	view    *model.View
	views   uint64
}

type node struct {
	v1alpha1.Node
	life model.Generation
	owns int
}

// New returns an empty cluster at midnight, UTC, of 2026-01-01.
func New() *World {
	return &World{now: time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC), cluster: &v1alpha1.Cluster{}}
}

// Do carries out one command.
func (w *World) Do(_ *testing.T, fields []string) ([]string, error) {
	name, args := fields[0], fields[1:]
	c, ok := commands[name]
	if !ok {
		return nil, fmt.Errorf("there is no command %q", name)
	}
	out, err := c(w, args)
	if err != nil || name == "show" || name == "why" || name == "unseen" {
		return out, err
	}
	return out, w.look()
}

// look is one round of the node controller, twice: the second must change nothing, and no more than a share may be in quarantine.
func (w *World) look() error {
	w.write()
	first := w.show()
	w.write()
	if second := w.show(); !slices.Equal(first, second) {
		return fmt.Errorf("a second look changes\n%s\ninto\n%s", strings.Join(first, "\n"), strings.Join(second, "\n"))
	}
	count := 0
	for _, n := range w.nodes {
		if q := n.Status.Quarantine; q != nil && q.Until != nil {
			count++
		}
	}
	if count > quarantine.Most(len(w.nodes)) {
		return fmt.Errorf("%d of %d nodes are in quarantine", count, len(w.nodes))
	}
	return nil
}

func (w *World) write() {
	seen := make([]*v1alpha1.Node, len(w.nodes))
	for i, n := range w.nodes {
		seen[i] = n.DeepCopy()
	}
	facts := make([]*status.NodeFacts, len(w.nodes))
	for i, n := range w.nodes {
		facts[i] = &status.NodeFacts{Node: seen[i], Cluster: w.cluster, View: w.view, Nodes: seen, Owns: n.owns, Now: w.now}
	}
	for i, st := range status.Nodes(facts) {
		w.nodes[i].Status = *st
	}
}

func (w *World) show() []string {
	var out []string
	for _, n := range w.nodes {
		st := &n.Status
		line := fmt.Sprintf("%s %s joins %d exits %d", n.Name, st.State, st.Joins, len(st.UngracefulExits))
		if q := st.Quarantine; q != nil && q.Until != nil {
			line += " quarantined until " + clock(q.Until.Time)
		}
		for _, c := range st.Conditions {
			if c.Reason == v1alpha1.NodeReasonSpared {
				line += " spared"
			}
		}
		out = append(out, line)
	}
	return out
}

// clock writes a time of the scenario: days since its start and the time of day, in UTC.
func clock(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf("day %d %s", t.YearDay(), t.Format("15:04"))
}

func (w *World) named(name string) (*node, error) {
	for _, n := range w.nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("there is no node %s", name)
}

func (w *World) each(names []string, do func(*node)) error {
	for _, name := range names {
		n, err := w.named(name)
		if err != nil {
			return err
		}
		do(n)
	}
	return nil
}

// install makes the named nodes the quorate view, in the lives that they are in.
func (w *World) install(names []string) error {
	w.views++
	w.view = &model.View{ID: model.ViewID{Number: w.views, Coordinator: 1}, Quorate: true, Installed: w.now}
	return w.each(names, func(n *node) {
		w.view.Members = append(w.view.Members, model.ViewMember{Member: model.Member{ID: model.NodeID(n.Status.ID), Generation: n.life}, ReachesAPI: true})
	})
}

func set(s *v1alpha1.ClusterSpec, k, v string) error {
	switch k {
	case "maintenance":
		s.Maintenance = v == "yes"
		return nil
	case "threshold":
		n, err := strconv.ParseInt(v, 10, 32)
		s.Quarantine.Threshold = new(int32(n))
		return err
	}
	d, err := time.ParseDuration(v)
	switch k {
	case "period":
		s.Quarantine.Period = &metav1.Duration{Duration: d}
	case "duration":
		s.Quarantine.Duration = &metav1.Duration{Duration: d}
	default:
		return fmt.Errorf("a cluster has no setting %q", k)
	}
	return err
}
