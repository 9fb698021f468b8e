package decision

import (
	"slices"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
	"github.com/quorate/quorate/pkg/validation"
)

// Round is one decision about a cluster with all that was looked at for it.
type Round struct {
	Objects  *snapshot.Objects
	Findings *validation.Findings
	// Snapshot has the groups in the order of Objects.
	Snapshot *model.Snapshot
	Plan     policy.Result
	Now      time.Time

	byGroup map[model.GroupKey][]*v1alpha1.Resource
	nodes   map[string]*v1alpha1.Node
	decided map[model.GroupKey]*policy.Decision
	// changed are the places of the groups that the round looked at; nil for all.
	changed []int
}

// Changed are the places of the groups that the round looked at; nil for all.
func (r *Round) Changed() []int { return r.changed }

// NewRound looks at the objects and decides. highestView is the highest number of a view that was ever seen of the cluster (O6); 0
// when that is not known.
func NewRound(o *snapshot.Objects, highestView uint64, now time.Time) *Round {
	findings := validation.Check(o)
	s := snapshot.Build(o, snapshot.Options{Invalid: findings.InvalidGroups(o), HighestView: highestView})
	r := &Round{
		Objects: o, Findings: findings, Snapshot: s, byGroup: o.ResourcesByGroup(), Now: now,
		nodes: make(map[string]*v1alpha1.Node, len(o.Nodes)), decided: map[model.GroupKey]*policy.Decision{},
	}
	for _, n := range o.Nodes {
		r.nodes[n.Name] = n
	}
	// A cluster whose object is gone decides nothing; its groups are only let go.
	if o.Cluster != nil {
		r.Plan = policy.Plan(s, now)
	}
	for i := range r.Plan.Decisions {
		r.decided[r.Plan.Decisions[i].Group] = &r.Plan.Decisions[i]
	}
	return r
}

// Decision is what was decided about the group; nil for nothing.
func (r *Round) Decision(key model.GroupKey) *policy.Decision { return r.decided[key] }

// Resources are those of the group.
func (r *Round) Resources(key model.GroupKey) []*v1alpha1.Resource { return r.byGroup[key] }

// Next is when to look again although nothing changes; 0 for never.
func (r *Round) Next() time.Duration {
	next := r.Plan.NextCheck
	if deadline := r.nextDeparture(); !deadline.IsZero() && (next.IsZero() || deadline.Before(next)) {
		next = deadline
	}
	if next.IsZero() {
		return 0
	}
	return max(next.Sub(r.Now), time.Millisecond)
}

// Status computes the status of a group after the decision. g is the i-th group of Objects, or a newer version of its metadata.
func (r *Round) Status(g *v1alpha1.ResourceGroup, i int, d *policy.Decision) *v1alpha1.ResourceGroupStatus {
	key := snapshot.Key(g)
	facts := &status.GroupFacts{
		Group: g, Resources: r.byGroup[key], Model: &r.Snapshot.Groups[i], View: r.Snapshot.View, Decision: d, Note: r.Plan.Groups[key], Now: r.Now,
	}
	owner := ""
	if a := g.Status.Assignment; a != nil {
		owner = a.Node
	}
	if d != nil && (d.Kind == policy.Assign || d.Kind == policy.Withdraw) {
		owner = d.Assignment.Node
	}
	facts.Owner = r.nodes[owner]
	facts.PowerFencing = slices.ContainsFunc(r.Snapshot.Nodes, func(n model.Node) bool { return n.Name == owner && n.PowerFencing })
	if found, bad := r.Findings.GroupError(g, facts.Resources); bad {
		facts.Invalid = &found
	}
	facts.Warnings = r.Findings.OfGroup(key)
	return status.Group(facts)
}
