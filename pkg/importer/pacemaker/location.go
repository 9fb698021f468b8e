package pacemaker

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// scores are location scores by node name. A node that is missing may not run the resource.
type scores map[string]int

// locate adds up the location constraints of every resource, and of the resources of every unit.
func (im *importer) locate() {
	symmetric := truth(im.c.properties.value("symmetric-cluster"), true)
	for r := range im.home {
		r.scores = scores{}
		for _, n := range im.c.nodes {
			if symmetric {
				r.scores[n.name] = 0
			}
		}
	}
	for _, e := range im.c.constraints {
		if e.name == "rsc_location" {
			im.location(e)
		}
	}
	for _, u := range im.units {
		im.addUp(u)
	}
}

// addUp makes the unit's scores of those of its resources. A node that one of them may not use is none for all, whatever the others say:
// what a resource has below zero, a colocation does not make good.
func (im *importer) addUp(u *unit) {
	u.scores = scores{}
	for _, n := range im.c.nodes {
		total, plain := 0, 0
		for _, r := range u.resources {
			score, ok := r.scores[n.name]
			if !ok || score < 0 || r.exclusive != nil && !r.exclusive[n.name] {
				score = -infinity
			}
			total, plain = addScores(total, score), addScores(plain, r.scores[n.name])
		}
		u.scores[n.name] = total
		if total < 0 && plain >= 0 && len(u.resources) > 1 {
			im.report.add(Changed, u.main().at, "take the score away, or add the node to possibleOwners",
				"one of the resources of %s has a score below zero on %s: none of them runs there, although the scores of all add up to %s", u.name, n.name, scoreText(plain))
		}
	}
}

// location applies one constraint to all that it speaks of.
func (im *importer) location(e *element) {
	targets := im.locationTargets(e)
	for _, rule := range e.all("rule") {
		im.locationRule(e, rule, targets)
	}
	if len(e.all("rule")) > 0 {
		return
	}
	score, ok := parseScore(e.attrs["score"])
	if e.attrs["role"] != "" && !strings.EqualFold(e.attrs["role"], "Started") {
		im.noRoles(e)
		return
	}
	if !ok {
		im.report.add(NotImported, e, "mend its score", "the score %q is no score", e.attrs["score"])
		return
	}
	n := im.c.node(e.attrs["node"])
	if n == nil {
		im.report.add(Note, e, "", "speaks of node %q, which is not in the CIB: nothing follows from it", e.attrs["node"])
		return
	}
	for _, r := range targets {
		r.prefer(n.name, score, e.attrs["resource-discovery"])
	}
}

func (im *importer) noRoles(e *element) {
	im.report.add(NotImported, e, "", "speaks of the role %s: Quorate's groups have no roles", e.attrs["role"])
}

// locationTargets are the resources that a location constraint speaks of: by name, tag, pattern, or set.
func (im *importer) locationTargets(e *element) []*resource {
	var refs []string
	if rsc := e.attrs["rsc"]; rsc != "" {
		refs = append(refs, im.c.expand(rsc)...)
	}
	if pattern := e.attrs["rsc-pattern"]; pattern != "" {
		refs = append(refs, im.matching(e, pattern)...)
	}
	for _, set := range e.all("resource_set") {
		if set.attrs["role"] != "" && !strings.EqualFold(set.attrs["role"], "Started") {
			im.noRoles(set)
			continue
		}
		for _, ref := range set.all("resource_ref") {
			refs = append(refs, im.c.expand(ref.attrs["id"])...)
		}
	}
	var targets []*resource
	for _, ref := range refs {
		if im.unit(e, ref) != nil {
			targets = append(targets, im.c.find(ref))
		}
	}
	return targets
}

func (im *importer) matching(e *element, pattern string) []string {
	negated := strings.HasPrefix(pattern, "!")
	re, err := regexp.Compile(strings.TrimPrefix(pattern, "!"))
	if err != nil {
		im.report.add(NotImported, e, "name the resources one by one", "the pattern %q is not understood here: %v", pattern, err)
		return nil
	}
	var ids []string
	for _, r := range im.c.resources {
		if re.MatchString(r.id) != negated {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// locationRule adds the rule's score to every node that it is true of.
func (im *importer) locationRule(e, rule *element, targets []*resource) {
	if role := rule.attrs["role"]; role != "" && !strings.EqualFold(role, "Started") {
		im.noRoles(rule)
		return
	}
	for _, n := range im.c.nodes {
		holds, not := im.c.holds(rule, n)
		if not != nil {
			im.report.add(NotImported, rule, not.do, "the rule of location constraint %s cannot be worked out: %s", e.id(), not.why)
			return
		}
		text := rule.attrs["score"]
		if attribute := rule.attrs["score-attribute"]; attribute != "" {
			text, _ = im.c.nodeAttribute(n, attribute)
		}
		if !holds {
			continue
		}
		score, ok := parseScore(text)
		if !ok && text != "" {
			im.report.add(NotImported, rule, "mend its score", "the score %q is no score", text)
			return
		}
		for _, r := range targets {
			r.prefer(n.name, score, e.attrs["resource-discovery"])
		}
	}
	if len(rule.all("expression")) > 0 && rule.attrs["score-attribute"] != "" || !onlyNames(rule) {
		im.report.add(Note, rule, "change preferredOwners and possibleOwners when the attributes change",
			"the rule was worked out with the nodes' attributes as they are in the CIB")
	}
}

// onlyNames says that the rule looks at nothing but the nodes' names.
func onlyNames(rule *element) bool {
	return !slices.ContainsFunc(rule.children, func(e *element) bool {
		return e.name == "expression" && !strings.HasPrefix(e.attrs["attribute"], "#") || e.name == "rule" && !onlyNames(e)
	})
}

func (c *config) node(name string) *node {
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.name == name })
	if i < 0 {
		return nil
	}
	return c.nodes[i]
}

// prefer adds a score for a node. In a cluster that is not symmetric, a node may run the resource only once a constraint names it.
func (r *resource) prefer(node string, score int, discovery string) {
	if discovery == "exclusive" {
		if r.exclusive == nil {
			r.exclusive = map[string]bool{}
		}
		r.exclusive[node] = true
	}
	r.scores[node] = addScores(r.scores[node], score)
}

// allowed are the nodes that may run the unit, by name; nil when all may. Below zero is never, in Pacemaker too.
func (u *unit) allowed(nodes []*node) []string {
	names := []string{}
	for _, n := range nodes {
		if score, ok := u.scores[n.name]; ok && score >= 0 {
			names = append(names, n.name)
		}
	}
	if len(names) == len(nodes) {
		return nil
	}
	return names
}

// preferred are the nodes with a score above zero, best first, then by name; nil when all nodes that may run it are alike.
func (u *unit) preferred(nodes []*node) (names []string, tied bool) {
	var list []string
	different := false
	first, seen := 0, false
	for _, n := range nodes {
		score, ok := u.scores[n.name]
		if !ok || score < 0 {
			continue
		}
		if score > 0 {
			list = append(list, n.name)
		}
		different = different || seen && score != first
		first, seen = score, true
	}
	if !different {
		return nil, false
	}
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(u.scores[b], u.scores[a]) })
	for i := range list[1:] {
		tied = tied || u.scores[list[i]] == u.scores[list[i+1]]
	}
	return list, tied
}
