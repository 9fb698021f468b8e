package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// scene is a look with a few indexes over it.
type scene struct {
	*Look
	options   Options
	view      *model.View
	groups    []*groupScene
	selfFence time.Duration
	clusterID string
}

// groupScene is one group with what belongs to it.
type groupScene struct {
	*v1alpha1.ResourceGroup
	key       model.GroupKey
	assigned  model.Assignment
	members   []model.GroupMember
	resources []*v1alpha1.Resource
	state     model.GroupState
}

// defaultSelfFence is the CRD's default of selfFence.timeout.
const defaultSelfFence = time.Second

func newScene(l *Look, o Options) *scene {
	s := &scene{Look: l, options: o, selfFence: defaultSelfFence}
	if l.Objects == nil {
		return s
	}
	s.view = l.Objects.View()
	if c := l.Objects.Cluster; c != nil {
		if c.Spec.SelfFence.Timeout != nil {
			s.selfFence = c.Spec.SelfFence.Timeout.Duration
		}
		s.clusterID = c.Status.ClusterID
	}
	byGroup, reports := l.Objects.ResourcesByGroup(), snapshot.Reports(l.Objects.Nodes)
	for _, g := range l.Objects.Groups {
		key := snapshot.Key(g)
		s.groups = append(s.groups, &groupScene{
			ResourceGroup: g, key: key, assigned: snapshot.Assignment(g.Status.Assignment), resources: byGroup[key],
			members: snapshot.MembersNow(g, byGroup[key], reports[string(g.UID)], s.view),
			state:   snapshot.GroupState(g, byGroup[key], reports[string(g.UID)], s.view),
		})
	}
	return s
}

// suspicions are what all rules see in a look.
func (a *Auditor) suspicions(l *Look) []suspicion {
	s := newScene(l, a.options)
	var all []suspicion
	for _, rule := range []func(*scene) []suspicion{
		a.epochsFall, a.viewsExclude, ownersTwice, strayMembers, agentsAhead, ownersForbidden, a.affinityBroken, dependenciesMissing, a.notOnline,
		leftOver, processesOutside, strangeMounts, recordless, reportedButAbsent, withoutQuorum, actingTwice,
		keysForeign, witnessForeign, witnessElsewhere, holderWrong, keysStale, epochAhead,
		answersTwice, answersElsewhere,
	} {
		all = append(all, rule(s)...)
	}
	return all
}

// suspect makes a suspicion that needs two looks and the grace of what is in motion.
func (s *scene) suspect(invariant, object, discriminator, message, advice string, evidence ...Evidence) suspicion {
	return suspicion{
		key: fmt.Sprintf("%s %s %s", invariant, object, discriminator), looks: 2, grace: s.options.Motion,
		finding: Finding{
			Invariant: invariant, Severity: Violation, Object: object, Message: message, Advice: advice, Evidence: evidence,
		},
	}
}

func (s suspicion) within(grace time.Duration) suspicion {
	s.grace = grace
	return s
}

func (s suspicion) notice() suspicion {
	s.finding.Severity = Notice
	return s
}

// stopGrace is how long after an assignment an old owner may have something left.
func (s *scene) stopGrace() time.Duration { return s.selfFence + s.options.Stop }

func (s *scene) fromAPI(format string, args ...any) Evidence {
	return Evidence{Time: s.Ended, Source: SourceAPI, Fact: fmt.Sprintf(format, args...)}
}

func (g *groupScene) object() string { return "ResourceGroup " + g.key.String() }

// owner says who has the group, for people.
func (g *groupScene) owner() string {
	switch {
	case g.balanced():
		return g.where()
	case g.assigned.Epoch == 0:
		return "never assigned"
	case g.assigned.Node == "":
		return fmt.Sprintf("withdrawn at epoch %d", g.assigned.Epoch)
	}
	return fmt.Sprintf("assigned to %s at epoch %d", g.assigned.Node, g.assigned.Epoch)
}

// releasing says that the node is an earlier owner of a withdrawn group, and may still be stopping it.
func (g *groupScene) releasing(node string) bool {
	if slices.ContainsFunc(g.members, func(m model.GroupMember) bool { return m.Withdrawn && m.Node == node }) {
		return true
	}
	return g.assigned.Node == "" && slices.ContainsFunc(g.assigned.Unproven, func(o model.Owner) bool { return o.Node == node })
}

func resourceObject(r *v1alpha1.Resource) string { return "Resource " + r.Namespace + "/" + r.Name }
