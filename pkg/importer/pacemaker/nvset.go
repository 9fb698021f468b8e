package pacemaker

import (
	"cmp"
	"slices"
)

// nv is one name and value, with where it stands.
type nv struct {
	name, value string
	at          *element
}

// nvs are the effective pairs of an object: the first of a name counts.
type nvs []nv

func (n nvs) get(name string) (string, bool) {
	for i := range n {
		if n[i].name == name {
			return n[i].value, true
		}
	}
	return "", false
}

func (n nvs) value(name string) string {
	v, _ := n.get(name)
	return v
}

// at is the element of a name, or otherwise.
func (n nvs) at(name string, otherwise *element) *element {
	for i := range n {
		if n[i].name == name {
			return n[i].at
		}
	}
	return otherwise
}

// under puts the pairs of more behind those that are there, which win.
func (n nvs) under(more nvs) nvs {
	all := slices.Clone(n)
	for _, pair := range more {
		if _, ok := n.get(pair.name); !ok {
			all = append(all, pair)
		}
	}
	return all
}

// sets reads the attribute sets of a kind (instance_attributes, meta_attributes, utilization, ...) below an element: those of the
// highest score first, references to sets and pairs elsewhere resolved. A set with a rule counts only at times or on nodes; it is left
// out and reported.
func (c *config) sets(e *element, kind string) nvs {
	list := e.all(kind)
	slices.SortStableFunc(list, func(a, b *element) int { return cmp.Compare(setScore(b), setScore(a)) })
	var all nvs
	for _, set := range list {
		if ref := set.attrs["id-ref"]; ref != "" {
			target := c.byID[ref]
			if target == nil {
				c.report.add(NotImported, set, "mend the reference", "refers to the set %q, which is not there", ref)
				continue
			}
			set = target
		}
		if rule := set.child("rule"); rule != nil {
			c.report.add(NotImported, set, "decide which values are to count, and write them into the manifest",
				"the values of this set count only while its rule %s holds: Quorate has no such conditions", rule.id())
			continue
		}
		for _, pair := range set.all("nvpair") {
			name, value := pair.attrs["name"], pair.attrs["value"]
			if ref := pair.attrs["id-ref"]; ref != "" {
				target := c.byID[ref]
				if target == nil {
					c.report.add(NotImported, pair, "mend the reference", "refers to the pair %q, which is not there", ref)
					continue
				}
				value = target.attrs["value"]
				if name == "" {
					name = target.attrs["name"]
				}
			}
			if _, there := all.get(name); name != "" && !there {
				all = append(all, nv{name: name, value: value, at: pair})
			}
		}
	}
	return all
}

func setScore(e *element) int {
	score, _ := parseScore(e.attrs["score"])
	return score
}
