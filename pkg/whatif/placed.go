package whatif

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
)

// homes has the nodes on which every group is online, in order. A group without resources counts as online where it is assigned, as it
// does for the groups that depend on it.
func (w *World) homes() map[model.GroupKey][]string {
	homes := map[model.GroupKey][]string{}
	if !w.quorate {
		return homes
	}
	resources := w.objects.ResourcesByGroup()
	for _, g := range w.objects.Groups {
		key := snapshot.Key(g)
		for _, h := range w.runners(g) {
			if w.online(g, resources[key], h) {
				homes[key] = append(homes[key], h.name)
			}
		}
	}
	return homes
}

// online says that every resource that is wanted is online on the host, and there is one, or that there are no resources at all.
func (w *World) online(g *v1alpha1.ResourceGroup, resources []*v1alpha1.Resource, h *host) bool {
	wanted := 0
	for _, r := range resources {
		if r.Spec.DesiredState == v1alpha1.DesiredOffline {
			continue
		}
		wanted++
		if state, epoch := stateOn(g, r, h); state != v1alpha1.ResourceOnline || epoch != snapshot.AssignmentFor(g, h.name).Epoch {
			return false
		}
	}
	return wanted > 0 && g.Status.FailedSince == nil || len(resources) == 0
}

// wanted says that the group is to be online.
func wanted(g *v1alpha1.ResourceGroup) bool {
	return g.Spec.DesiredState != v1alpha1.DesiredOffline && g.DeletionTimestamp == nil
}

// picture is a step's placement, and why what is missing is missing.
func (w *World) picture(homes map[model.GroupKey][]string) (map[string]string, map[string]Unplaced) {
	placement, unplaced := map[string]string{}, map[string]Unplaced{}
	var round *decision.Round
	for _, g := range w.objects.Groups {
		key := snapshot.Key(g)
		if nodes := homes[key]; len(nodes) > 0 {
			placement[key.String()] = strings.Join(nodes, ",")
			continue
		}
		if !wanted(g) {
			continue
		}
		if round == nil {
			round = w.look()
		}
		unplaced[key.String()] = w.why(g, round)
	}
	return placement, unplaced
}

// why says why the group is not online, and of every node why it is not there.
func (w *World) why(g *v1alpha1.ResourceGroup, round *decision.Round) Unplaced {
	if !w.quorate {
		u := Unplaced{Reason: string(model.ReasonNoQuorum), Message: w.votesText(), Nodes: map[string]string{}}
		for _, h := range w.hosts {
			u.Nodes[h.name] = string(model.ReasonNodeDown)
			if h.up {
				u.Nodes[h.name] = u.Reason
			}
		}
		return u
	}
	note := round.Plan.Groups[snapshot.Key(g)]
	candidates := note.Candidates.All()
	if candidates == nil {
		candidates = policy.Explain(round.Snapshot, snapshot.Key(g), w.now)
	}
	reason, message := note.Reason, note.Message
	if reason == model.ReasonNoCandidate {
		reason = nearestReason(candidates)
	}
	if reason == "" {
		reason, message = w.stateReason(g)
	}
	u := Unplaced{Reason: string(reason), Message: message, Nodes: map[string]string{}}
	for _, c := range candidates {
		u.Nodes[c.Node] = string(reason)
		if len(c.Reasons) > 0 {
			u.Nodes[c.Node] = string(c.Reasons[0])
		}
	}
	return u
}

// stateReason is for a group that waits for nothing and is not online all the same: a resource of it has failed, or is pending.
func (w *World) stateReason(g *v1alpha1.ResourceGroup) (model.Reason, string) {
	for _, r := range w.objects.Resources {
		if snapshot.GroupKeyOf(r) == snapshot.Key(g) && r.Status.State == v1alpha1.ResourceFailed {
			return model.ReasonResourceFailed, fmt.Sprintf("resource %s has failed on %s, and its restart policy is %s", r.Name, r.Status.Node, r.Spec.Restart.Policy)
		}
	}
	if c := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return model.Reason(c.Reason), c.Message
	}
	return model.Reason(g.Status.State), "the group is " + string(g.Status.State)
}

// far are the reasons that say least about what it would take to place the group, those that say least first: a node that is no possible
// owner never takes it, one that is down could if it were up, and one without room is what an operator can do something about.
var far = []model.Reason{
	model.ReasonNotPossibleOwner, model.ReasonDiskNotVisible, model.ReasonImageMissing, model.ReasonNodeDown, model.ReasonNodeDrained,
	model.ReasonNodePaused, model.ReasonMaintenance, model.ReasonNodeQuarantined, model.ReasonAgentDisconnected,
}

// nearestReason is the reason of the nodes that come nearest to taking the group.
func nearestReason(candidates []policy.Candidate) model.Reason {
	distance := func(r model.Reason) int {
		if i := slices.Index(far, r); i >= 0 {
			return len(far) - i
		}
		return 0
	}
	reasons := []model.Reason{}
	for _, c := range candidates {
		if len(c.Reasons) > 0 {
			reasons = append(reasons, c.Reasons[0])
		}
	}
	if len(reasons) == 0 {
		return model.ReasonNoCandidate
	}
	return slices.MinFunc(reasons, func(a, b model.Reason) int { return cmp.Compare(distance(a), distance(b)) })
}

// votesText says how the votes stand.
func (w *World) votesText() string {
	switch {
	case w.record == nil:
		return "the cluster was not formed yet"
	case w.record.Total() == 0:
		return "no node has a vote"
	}
	held := w.holdsWitness()
	text := fmt.Sprintf("there is no quorum: %d of %d votes are present, %d are required", w.record.Votes(w.isUp, held), w.record.Total(), w.record.Required())
	if w.record.Quorate(w.isUp, held) {
		return "no quorate view of the cluster is reported"
	}
	return text
}
