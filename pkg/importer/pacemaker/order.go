package pacemaker

import (
	"slices"
	"strings"
)

// orders carries over what is to be started before what: within a group as dependencies of resources, between groups as dependencies
// of groups.
func (im *importer) orders() {
	for _, u := range im.units {
		for _, r := range u.resources {
			for i := 1; r.ordered && i < len(r.primitives); i++ {
				u.need(r.primitives[i].id, r.primitives[i-1].id)
			}
		}
	}
	for _, e := range im.c.constraints {
		switch e.name {
		case "rsc_order":
			im.order(e)
		case "rsc_ticket":
			im.report.add(NotImported, e, "keep the sites as clusters of their own", "tickets belong to clusters of several sites (booth), which Quorate has not")
		case "rsc_location", "rsc_colocation":
		default:
			im.report.add(NotImported, e, "", "a constraint of the kind <%s> is not known here", e.name)
		}
	}
}

func (im *importer) order(e *element) {
	kind := strings.ToLower(e.attrs["kind"])
	if score, ok := parseScore(e.attrs["score"]); ok && kind == "" && score == 0 {
		kind = "optional"
	}
	switch kind {
	case "optional":
		im.report.add(NotImported, e, "nothing, unless the order matters: then add dependsOn", "an order that counts only when both happen to be started together")
		return
	case "serialize":
		im.report.add(NotImported, e, "nothing, unless both must not be started at the same time", "resources that are not to be started at the same time")
		return
	}
	for _, name := range []string{"first-action", "then-action"} {
		if action := e.attrs[name]; action != "" && action != "start" {
			im.report.add(NotImported, e, "", "an order of the action %q: only starts (and, the other way round, stops) are ordered", action)
			return
		}
	}
	if !truth(e.attrs["symmetrical"], true) {
		im.report.add(Changed, e, "", "an order of starts only: Quorate also stops in the reverse order")
	}
	if sets := e.all("resource_set"); len(sets) > 0 {
		im.orderedSets(e, sets)
		return
	}
	for _, first := range im.c.expand(e.attrs["first"]) {
		for _, then := range im.c.expand(e.attrs["then"]) {
			im.before(e, []string{first}, then)
		}
	}
}

func (im *importer) orderedSets(e *element, sets []*element) {
	var before []string
	anyOfBefore := false
	for _, set := range sets {
		if action := set.attrs["action"]; action != "" && action != "start" {
			im.report.add(NotImported, set, "", "an order of the action %q: only starts are ordered", action)
			return
		}
		var members []string
		for _, ref := range set.all("resource_ref") {
			members = append(members, im.c.expand(ref.attrs["id"])...)
		}
		sequential := truth(set.attrs["sequential"], true)
		for i, then := range members {
			switch {
			case sequential && i > 0:
				im.before(e, []string{members[i-1]}, then)
			case anyOfBefore && len(before) > 1:
				im.before(e, before, then)
			default:
				for _, first := range before {
					im.before(e, []string{first}, then)
				}
			}
		}
		before = members
		if sequential && len(members) > 0 {
			before = members[len(members)-1:]
		}
		anyOfBefore = !truth(set.attrs["require-all"], true)
	}
}

// before says that one of first comes before then.
func (im *importer) before(e *element, first []string, then string) {
	b := im.unit(e, then)
	if b == nil {
		return
	}
	var inside []string
	for _, name := range first {
		a := im.unit(e, name)
		switch {
		case a == nil:
			return
		case a == b:
			inside = append(inside, name)
		case len(first) > 1:
			im.report.add(NotImported, e, "make it depend on one of them, or put all into one ResourceGroup",
				"%s needs one of several groups (require-all=false): a group depends on all that it names", then)
			return
		default:
			im.groupDepends(e, b, a)
			return
		}
	}
	heads, tails := im.edges(then, true), []string{}
	for _, name := range inside {
		tails = append(tails, im.edges(name, false)...)
	}
	for _, head := range heads {
		if len(first) > 1 {
			im.dependsOnAny(e, b, head, tails)
			continue
		}
		for _, tail := range tails {
			im.resourceDepends(e, b, head, tail)
		}
	}
}

// edges are the primitives that stand for a resource in an order: all of it that waits for nothing else of it (to start after
// something), or on which nothing else of it waits (to start something after).
func (im *importer) edges(ref string, starts bool) []string {
	r := im.c.find(ref)
	var all []string
	for _, p := range r.primitives {
		if p.id == ref {
			return []string{p.id}
		}
		all = append(all, p.id)
	}
	switch {
	case !r.ordered:
		return all
	case starts:
		return all[:1]
	default:
		return all[len(all)-1:]
	}
}

func (u *unit) need(then, first string) {
	if !slices.Contains(u.needs[then], first) {
		u.needs[then] = append(u.needs[then], first)
	}
}

// reaches says that from depends on to, directly or not.
func reaches(from, to string, next func(string) []string) bool {
	seen, queue := map[string]bool{from: true}, []string{from}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if at == to {
			return true
		}
		for _, n := range next(at) {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return false
}

func (im *importer) resourceDepends(e *element, u *unit, then, first string) {
	if reaches(first, then, u.providers) {
		im.report.add(NotImported, e, "decide which of them comes first", "%s after %s would close a circle of dependencies", then, first)
		return
	}
	u.need(then, first)
}

func (im *importer) dependsOnAny(e *element, u *unit, then string, first []string) {
	for _, one := range first {
		if reaches(one, then, u.providers) {
			im.report.add(NotImported, e, "decide which of them comes first", "%s after %s would close a circle of dependencies", then, one)
			return
		}
	}
	u.anyOf[then] = append(u.anyOf[then], first)
}

// providers are all that a primitive depends on, alternatives included.
func (u *unit) providers(id string) []string {
	all := slices.Clone(u.needs[id])
	for _, alternatives := range u.anyOf[id] {
		all = append(all, alternatives...)
	}
	return all
}

func (im *importer) groupDepends(e *element, then, first *unit) {
	next := func(name string) []string {
		i := slices.IndexFunc(im.units, func(u *unit) bool { return u.name == name })
		return im.units[i].dependsOn
	}
	switch {
	case slices.Contains(then.dependsOn, first.name):
	case reaches(first.name, then.name, next):
		im.report.add(NotImported, e, "decide which of them comes first", "group %s after group %s would close a circle of dependencies", then.name, first.name)
	case len(then.dependsOn) == maxDependencies:
		im.report.add(NotImported, e, "let it depend on one group that depends on the others", "group %s would depend on more than %d groups", then.name, maxDependencies)
	default:
		then.dependsOn = append(then.dependsOn, first.name)
	}
}

// maxDependencies is the bound of dependsOn, of groups and of resources.
const maxDependencies = 16
