package pacemaker

import (
	"slices"
	"strings"
	"time"

	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// makeGroups makes a ResourceGroup of each unit, with its resources.
func (im *importer) makeGroups() {
	for _, u := range im.units {
		im.groupNames.of(im.report, u.main().at, u.name)
	}
	for _, u := range im.units {
		preferred, tied := u.preferred(im.c.nodes)
		if tied {
			im.report.add(Changed, u.main().at, "order preferredOwners as you like", "several nodes have the same score for %s: they became a list in order of their names, where Pacemaker takes the one with fewer resources", u.name)
		}
		g := &v1alpha1.ResourceGroup{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "ResourceGroup"},
			ObjectMeta: metav1.ObjectMeta{Name: im.groupNames.byID[u.name], Namespace: im.opts.Namespace},
			Spec: v1alpha1.ResourceGroupSpec{
				ClusterName: im.clusterName(), Description: u.description(), PreferredOwners: firstOf(im.ownerNames(preferred), 64),
				AntiAffinityClasses: u.classes, Priority: im.priority(u), Requests: im.requests(u), Failback: im.failback(u, preferred),
			},
		}
		if u.clone && u.main().number("clone-max") != 1 {
			g.Spec.Mode = v1alpha1.GroupModeLoadBalanced
			im.cloneMax(u)
		}
		for _, name := range u.dependsOn {
			g.Spec.DependsOn = append(g.Spec.DependsOn, v1alpha1.GroupReference{Name: im.groupNames.byID[name]})
		}
		im.wanted(u, g)
		im.result.Groups = append(im.result.Groups, g)
		im.makeResources(u, g)
	}
	im.dropEmpty()
}

// dropEmpty takes away groups of which nothing could be carried over; nobody waits for them.
func (im *importer) dropEmpty() {
	empty := map[string]bool{}
	for _, g := range im.result.Groups {
		empty[g.Name] = !slices.ContainsFunc(im.result.Resources, func(r *v1alpha1.Resource) bool { return r.Spec.GroupName == g.Name })
	}
	im.result.Groups = slices.DeleteFunc(im.result.Groups, func(g *v1alpha1.ResourceGroup) bool { return empty[g.Name] })
	for _, g := range im.result.Groups {
		g.Spec.DependsOn = slices.DeleteFunc(g.Spec.DependsOn, func(d v1alpha1.GroupReference) bool { return empty[d.Name] })
	}
}

// cloneMax reports a number of instances that is not one a node.
func (im *importer) cloneMax(u *unit) {
	r := u.main()
	if n := r.number("clone-max"); n > 0 && n < len(im.c.nodes) {
		im.report.add(Changed, r.meta.at("clone-max", r.at), "set possibleOwners of its resources to the nodes that are to run it",
			"clone %s runs on %d nodes that Pacemaker chooses: a LoadBalanced group runs on all that may run it", u.name, n)
	}
	if truth(r.meta.value("interleave"), false) {
		im.report.add(Note, r.meta.at("interleave", r.at), "", "interleave of clone %s is not carried over: a group that depends on it waits for the whole of it", u.name)
	}
}

func firstOf(list []string, n int) []string { return list[:min(n, len(list))] }

func (u *unit) description() string {
	names := make([]string, 0, len(u.resources))
	for _, r := range u.resources {
		names = append(names, string(r.kind)+" "+r.id)
	}
	return bounded("Imported from Pacemaker: "+strings.Join(names, ", "), 1024)
}

// wanted carries over what is to run and what is to be left alone.
func (im *importer) wanted(u *unit, g *v1alpha1.ResourceGroup) {
	stopped, unmanaged := 0, 0
	all := u.primitives()
	for _, p := range all {
		switch role := p.meta.value("target-role"); {
		case strings.EqualFold(role, "Stopped"):
			stopped++
		case role != "" && !strings.EqualFold(role, "Started"):
			im.report.add(NotImported, p.meta.at("target-role", p.at), "", "target-role=%s of %s: groups have no roles; it is wanted Online", role, p.id)
		}
		if !truth(p.meta.value("is-managed"), true) || truth(p.meta.value("maintenance"), false) {
			unmanaged++
			if unmanaged == 1 {
				im.report.add(Changed, p.at, "take maintenance away when the group is to be looked after", "%s is not managed (is-managed, maintenance): the whole group %s is in maintenance", p.id, u.name)
			}
		}
	}
	if stopped == len(all) {
		g.Spec.DesiredState = v1alpha1.DesiredOffline
	}
	g.Spec.Maintenance = unmanaged > 0
}

// priority maps Pacemaker's numbers to the four of Quorate. 0, Pacemaker's default, is the middle one.
func (im *importer) priority(u *unit) *int32 {
	var highest, lowest int
	for _, p := range u.primitives() {
		n, _ := parseScore(p.meta.value("priority"))
		highest, lowest = max(highest, n), min(lowest, n)
	}
	n := highest
	if n == 0 {
		n = lowest
	}
	switch {
	case n > 0:
		im.report.add(Changed, u.main().at, "set spec.priority to tell more than three apart: 3000, 2000, 1000", "priority %s of %s became 3000 (high)", scoreText(n), u.name)
		return new(int32(3000))
	case n < 0:
		im.report.add(Changed, u.main().at, "", "priority %s of %s became 1000 (low)", scoreText(n), u.name)
		return new(int32(1000))
	}
	return nil
}

// requests are the sum of the members' utilization.
func (im *importer) requests(u *unit) v1alpha1.Quantities {
	var sum v1alpha1.Quantities
	for _, p := range u.primitives() {
		for name, q := range im.quantities(p.utilization, p.at) {
			if sum == nil {
				sum = v1alpha1.Quantities{}
			}
			total := q.DeepCopy()
			if already, ok := sum[name]; ok {
				total.Add(already)
			}
			if _, ok := sum[name]; ok || len(sum) < 16 {
				sum[name] = canonical(total)
			}
		}
	}
	return sum
}

func canonical(q apiresource.Quantity) apiresource.Quantity { return apiresource.MustParse(q.String()) }

// stickiness is what keeps the unit where it is: the sum over its primitives, as for a group of Pacemaker's.
func (u *unit) stickiness() int {
	total := 0
	for _, p := range u.primitives() {
		score, _ := parseScore(p.meta.value("resource-stickiness"))
		total = addScores(total, score)
	}
	return total
}

// failback follows from scores and stickiness: Pacemaker brings a resource back to a node as soon as its score there is higher than
// where it is plus its stickiness.
func (im *importer) failback(u *unit, preferred []string) v1alpha1.Failback {
	stickiness := u.stickiness()
	if len(preferred) == 0 {
		if stickiness == 0 && !u.clone {
			im.report.add(Note, nil, "set preferredOwners and failback to have a group return",
				"groups without location scores and stickiness are moved by Pacemaker to balance the nodes: Quorate leaves a healthy group where it is")
		}
		return v1alpha1.Failback{}
	}
	best, above, below := u.scores[preferred[0]], 0, 0
	for _, n := range im.c.nodes {
		score, ok := u.scores[n.name]
		if !ok || score < 0 || score == best {
			continue
		}
		if best > addScores(score, stickiness) {
			above++
		} else {
			below++
		}
	}
	if above > 0 && below > 0 {
		im.report.add(Changed, u.main().at, "choose spec.failback.policy: Immediate or Never",
			"%s returns to %s from some nodes and not from others (stickiness %s): it became Immediate, from all", u.name, preferred[0], scoreText(stickiness))
	}
	if above > 0 {
		return v1alpha1.Failback{Policy: v1alpha1.FailbackImmediate}
	}
	return v1alpha1.Failback{}
}

// makeResources makes the Resources of a unit.
func (im *importer) makeResources(u *unit, g *v1alpha1.ResourceGroup) {
	owners := im.ownerNames(u.allowed(im.c.nodes))
	if allowed := u.allowed(im.c.nodes); allowed != nil && len(allowed) == 0 {
		im.report.add(Todo, u.main().at, "set possibleOwners of its resources, and desiredState of the group to Online", "no node may run %s: its scores are below zero everywhere; the group is wanted Offline", u.name)
		g.Spec.DesiredState, owners = v1alpha1.DesiredOffline, nil
	}
	made := map[string]*v1alpha1.Resource{}
	for _, p := range u.primitives() {
		r := &v1alpha1.Resource{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Resource"},
			ObjectMeta: metav1.ObjectMeta{Namespace: im.opts.Namespace},
			Spec:       v1alpha1.ResourceSpec{GroupName: g.Name, Description: bounded(p.spec(), 1024), PossibleOwners: firstOf(owners, 64)},
		}
		if !im.setType(u, p, r) {
			continue
		}
		r.Name = im.resourceNames.of(im.report, p.at, p.id)
		if strings.EqualFold(p.meta.value("target-role"), "Stopped") && g.Spec.DesiredState != v1alpha1.DesiredOffline {
			r.Spec.DesiredState = v1alpha1.DesiredOffline
		}
		im.restart(p, r)
		im.operations(p, r)
		made[p.id] = r
		im.result.Resources = append(im.result.Resources, r)
	}
	for _, p := range u.primitives() {
		if r := made[p.id]; r != nil {
			im.depend(u, p, r, made)
		}
	}
}

// depend names what a resource needs. What was not made is passed through to what it needs itself.
func (im *importer) depend(u *unit, p *primitive, r *v1alpha1.Resource, made map[string]*v1alpha1.Resource) {
	var names []string
	seen := map[string]bool{p.id: true}
	var visit func(id string)
	visit = func(id string) {
		for _, need := range u.needs[id] {
			switch {
			case seen[need]:
			case made[need] != nil:
				seen[need] = true
				names = append(names, made[need].Name)
			default:
				seen[need] = true
				visit(need)
			}
		}
	}
	visit(p.id)
	for _, name := range names {
		r.Spec.DependsOn = append(r.Spec.DependsOn, v1alpha1.Dependency{Name: name})
	}
	for _, any := range u.anyOf[p.id] {
		var alternatives []string
		for _, id := range any {
			if made[id] != nil && !slices.Contains(alternatives, made[id].Name) && id != p.id {
				alternatives = append(alternatives, made[id].Name)
			}
		}
		if len(alternatives) > 0 && len(alternatives) <= maxDependencies {
			r.Spec.DependsOn = append(r.Spec.DependsOn, v1alpha1.Dependency{AnyOf: alternatives})
		}
	}
	if len(r.Spec.DependsOn) > maxDependencies {
		im.report.add(NotImported, p.at, "let it depend on one that depends on the others", "%s would depend on more than %d resources", p.id, maxDependencies)
		r.Spec.DependsOn = r.Spec.DependsOn[:maxDependencies]
	}
}

// restart carries over how often a resource is tried again on its node.
func (im *importer) restart(p *primitive, r *v1alpha1.Resource) {
	text, set := p.meta.get("migration-threshold")
	threshold, ok := parseScore(text)
	period, hasPeriod := parseDuration(p.meta.value("failure-timeout"))
	if hasPeriod && period > 0 {
		r.Spec.Restart.Period = seconds(period)
		if period > time.Hour {
			r.Spec.RetryPeriodOnFailure = seconds(period) // at least restart.period
		}
	}
	switch {
	case set && ok && threshold > 0 && threshold < infinity:
		r.Spec.Restart.Threshold = new(int32(min(threshold-1, 1000)))
		if !hasPeriod || period == 0 {
			im.report.add(Changed, p.meta.at("migration-threshold", p.at), "set restart.period to the time after which failures are forgotten",
				"%s: failures are never forgotten (no failure-timeout); restart.period stays at its default", p.id)
		}
	case set && ok || !set:
		im.report.add(Note, nil, "set restart.policy to RestartNoFailover, or a higher restart.threshold, to have a resource tried on its node for ever",
			"resources without migration-threshold are restarted in place without end by Pacemaker: here three times in 15 minutes, then the group fails over")
	default:
		im.report.add(NotImported, p.meta.at("migration-threshold", p.at), "mend it", "%s: the migration-threshold %q is no number", p.id, text)
	}
}
