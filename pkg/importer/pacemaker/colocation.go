package pacemaker

import (
	"slices"
	"strings"
)

// pair says that a resource is to run with, or apart from, another.
type pair struct {
	at    *element
	a, b  string
	score int
}

// colocations reads all colocation constraints as pairs of resources. In a set the later is placed with the earlier; between sets,
// each of the later set with each of the earlier.
func (im *importer) colocations() []pair {
	var pairs []pair
	for _, e := range im.c.constraints {
		if e.name != "rsc_colocation" {
			continue
		}
		score, ok := im.pairScore(e)
		if !ok {
			continue
		}
		if sets := e.all("resource_set"); len(sets) > 0 {
			pairs = append(pairs, im.colocatedSets(e, sets, score)...)
			continue
		}
		for _, a := range im.c.expand(e.attrs["rsc"]) {
			for _, b := range im.c.expand(e.attrs["with-rsc"]) {
				pairs = append(pairs, pair{e, a, b, score})
			}
		}
	}
	return pairs
}

// pairScore is the score of a colocation; false, with a report, for one that has no equivalent.
func (im *importer) pairScore(e *element) (int, bool) {
	score, ok := parseScore(e.attrs["score"])
	switch sets := e.all("resource_set"); {
	case e.attrs["score-attribute"] != "" || e.attrs["score-attribute-mangle"] != "":
		im.report.add(NotImported, e, "write the score into the constraint and import again", "its score is a node attribute")
	case e.attrs["score"] != "" && !ok:
		im.report.add(NotImported, e, "mend its score", "the score %q is no score", e.attrs["score"])
	case e.attrs["node-attribute"] != "" && e.attrs["node-attribute"] != "#uname":
		im.report.add(NotImported, e, "use Node.spec.faultDomain for what fails together",
			"it holds resources together by the node attribute %q, not by node", e.attrs["node-attribute"])
	case hasRole(e, "rsc-role") || hasRole(e, "with-rsc-role") || slices.ContainsFunc(sets, func(s *element) bool { return hasRole(s, "role") }):
		im.report.add(NotImported, e, "put what follows the promoted instance into the group that replaces it",
			"it speaks of roles of a promotable clone: Quorate's groups have no roles")
	case e.attrs["score"] == "" && len(sets) == 0:
		return infinity, true // the default of the command line tools; the schema wants a score
	default:
		return score, true
	}
	return 0, false
}

func hasRole(e *element, name string) bool {
	role := e.attrs[name]
	return role != "" && !strings.EqualFold(role, "Started") && !strings.EqualFold(role, "Stopped")
}

func (im *importer) colocatedSets(e *element, sets []*element, score int) []pair {
	var pairs []pair
	var before []string
	for _, set := range sets {
		var members []string
		own := score
		if s, ok := parseScore(set.attrs["score"]); ok {
			own = s
		}
		for _, ref := range set.all("resource_ref") {
			members = append(members, im.c.expand(ref.attrs["id"])...)
		}
		if truth(set.attrs["sequential"], true) {
			for i := 1; i < len(members); i++ {
				pairs = append(pairs, pair{e, members[i], members[i-1], own})
			}
		}
		for _, a := range members {
			for _, b := range before {
				pairs = append(pairs, pair{e, a, b, own})
			}
		}
		before = members
	}
	return pairs
}

// antiAffinity turns negative colocations into classes. Whether classes are required or preferred is one setting of the Cluster, so
// that where both kinds are used the stronger wins and the weaker are left out.
func (im *importer) antiAffinity(pairs []pair) {
	required := slices.ContainsFunc(pairs, func(p pair) bool { return p.score == -infinity })
	classes := map[*element]map[*unit]bool{}
	for _, p := range pairs {
		if p.score >= 0 {
			continue
		}
		a, b := im.unit(p.at, p.a), im.unit(p.at, p.b)
		switch {
		case a == nil || b == nil:
			continue
		case a == b:
			im.report.add(NotImported, p.at, "take one of the constraints away", "%s and %s are to be apart, and another constraint holds them together", p.a, p.b)
			continue
		case required && p.score > -infinity:
			im.report.add(NotImported, p.at, "give them a class by hand if they may be forced apart, or set Cluster.spec.antiAffinity to Preferred",
				"a wish (%d) that %s and %s be apart: other constraints force groups apart (-INFINITY), and one Cluster has only one of both", p.score, p.a, p.b)
			continue
		case p.score > -infinity:
			im.report.add(Note, p.at, "", "the score %d became a preference: groups that share a class avoid each other wherever there is room", p.score)
		}
		if classes[p.at] == nil {
			classes[p.at] = map[*unit]bool{}
		}
		classes[p.at][a], classes[p.at][b] = true, true
	}
	im.required = required
	for _, e := range im.c.constraints {
		im.addClass(e, classes[e], pairs)
	}
}

// addClass gives the units of one constraint a class. A chain of three of whom the first and the last may meet needs one class a pair.
func (im *importer) addClass(e *element, units map[*unit]bool, pairs []pair) {
	if len(units) == 0 {
		return
	}
	name := className(e.id())
	if len(units) == 2 || im.everyPair(e, units, pairs) {
		for _, u := range im.units {
			if units[u] {
				u.addClass(im, e, name)
			}
		}
		return
	}
	number := 0
	for _, p := range pairs {
		if p.at != e {
			continue
		}
		a, b := im.unit(e, p.a), im.unit(e, p.b)
		if a == nil || b == nil || a == b {
			continue
		}
		number++
		numbered := className(e.id() + "." + itoa(number))
		a.addClass(im, e, numbered)
		b.addClass(im, e, numbered)
	}
}

func (im *importer) everyPair(e *element, units map[*unit]bool, pairs []pair) bool {
	found := map[[2]*unit]bool{}
	for _, p := range pairs {
		if p.at == e {
			a, b := im.unit(e, p.a), im.unit(e, p.b)
			found[[2]*unit{a, b}], found[[2]*unit{b, a}] = true, true
		}
	}
	for a := range units {
		for b := range units {
			if a != b && !found[[2]*unit{a, b}] {
				return false
			}
		}
	}
	return true
}

// maxClasses is the bound of antiAffinityClasses.
const maxClasses = 16

func (u *unit) addClass(im *importer, e *element, name string) {
	switch {
	case slices.Contains(u.classes, name):
	case len(u.classes) == maxClasses:
		im.report.add(NotImported, e, "let one class stand for several constraints",
			"group %s would have more than %d anti-affinity classes", u.name, maxClasses)
	default:
		u.classes = append(u.classes, name)
	}
}
