package pacemaker

import "strings"

func (c *config) readResources(configuration *element) error {
	for _, section := range configuration.all("resources") {
		for _, e := range section.children {
			if e.name == "template" {
				continue
			}
			r, err := c.readResource(e)
			if err != nil {
				return err
			}
			if r != nil {
				c.resources = append(c.resources, r)
			}
		}
	}
	return nil
}

func (c *config) readResource(e *element) (*resource, error) {
	id, err := e.require("id")
	if err != nil {
		return nil, err
	}
	r := &resource{id: id, at: e, meta: c.sets(e, "meta_attributes")}
	switch e.name {
	case "primitive":
		r.kind = kindPrimitive
		err = c.readPrimitives(r, []*element{e})
	case "group":
		r.kind, r.ordered = kindGroup, truth(r.meta.value("ordered"), true)
		err = c.readPrimitives(r, e.all("primitive"))
		if !truth(r.meta.value("collocated"), true) {
			c.report.add(Changed, r.meta.at("collocated", e), "divide it into several ResourceGroups if its members must be able to run apart",
				"group %s does not hold its members together: a ResourceGroup always does", id)
		}
	case "clone", "master":
		r.kind, err = kindClone, c.readClone(r, e)
	case "bundle":
		r.kind = kindBundle
	default:
		return nil, wrong(e.line, "<%s> is no resource: primitive, group, clone, master, bundle and template are known", e.name)
	}
	return r, err
}

func (c *config) readClone(r *resource, e *element) error {
	r.promotable = e.name == "master" || truth(r.meta.value("promotable"), false)
	group := e.child("group")
	if group == nil {
		if e.child("primitive") == nil {
			return wrong(e.line, "<%s id=%q> has neither a primitive nor a group in it", e.name, r.id)
		}
		return c.readPrimitives(r, e.all("primitive"))
	}
	inner := c.sets(group, "meta_attributes")
	r.inner, r.ordered = group.attrs["id"], truth(inner.value("ordered"), true)
	r.meta = inner.under(r.meta)
	return c.readPrimitives(r, group.all("primitive"))
}

// readPrimitives reads the members; what they do not say themselves they have from the group or clone, then from rsc_defaults.
func (c *config) readPrimitives(r *resource, members []*element) error {
	if len(members) == 0 {
		return wrong(r.at.line, "<%s id=%q> has no primitive in it", r.at.name, r.id)
	}
	for _, e := range members {
		p, err := c.readPrimitive(e)
		if err != nil {
			return err
		}
		if r.at != e {
			p.meta = p.meta.under(r.meta)
		}
		p.meta = p.meta.under(c.rscDefaults)
		r.primitives = append(r.primitives, p)
	}
	return nil
}

func (c *config) readPrimitive(e *element) (*primitive, error) {
	id, err := e.require("id")
	if err != nil {
		return nil, err
	}
	p := &primitive{id: id, at: e}
	c.merge(p, e)
	if name := e.attrs["template"]; name != "" {
		t := c.byID[name]
		if t == nil || t.name != "template" {
			return nil, wrong(e.line, "primitive %q uses the template %q, which is not there", id, name)
		}
		c.merge(p, t)
	}
	if p.class == "" || p.agent == "" {
		return nil, wrong(e.line, "primitive %q has no attribute %q", id, map[bool]string{true: "class", false: "type"}[p.class == ""])
	}
	return p, nil
}

// merge adds what an element says and nothing before it has said.
func (c *config) merge(p *primitive, e *element) {
	if p.class == "" {
		p.class, p.provider, p.agent = e.attrs["class"], e.attrs["provider"], e.attrs["type"]
	}
	p.params = p.params.under(c.sets(e, "instance_attributes"))
	p.meta = p.meta.under(c.sets(e, "meta_attributes"))
	p.utilization = p.utilization.under(c.sets(e, "utilization"))
	for _, list := range e.all("operations") {
		if ref := c.byID[list.attrs["id-ref"]]; ref != nil {
			list = ref
		}
		p.operations = append(p.operations, list.all("op")...)
	}
}

// find returns the top-level resource with an id: its own, that of the group in a clone, or that of one of its primitives.
func (c *config) find(id string) *resource {
	id, _, _ = strings.Cut(id, ":") // an instance of a clone
	for _, r := range c.resources {
		if r.id == id || r.inner == id && id != "" {
			return r
		}
		for _, p := range r.primitives {
			if p.id == id {
				return r
			}
		}
	}
	return nil
}
