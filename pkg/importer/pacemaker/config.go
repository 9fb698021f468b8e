package pacemaker

import (
	"slices"
	"strings"
)

// config is the configuration section of a CIB, read.
type config struct {
	byID       map[string]*element
	properties nvs
	nodes      []*node
	resources  []*resource
	constraints,
	topology []*element
	tags        map[string][]string
	rscDefaults nvs
	opDefaults  nvs
	report      *Report
}

// node is a host of the cluster.
type node struct {
	id, name    string
	at          *element
	attrs       nvs
	utilization nvs
}

// kind tells top-level resources apart.
type kind string

const (
	kindPrimitive kind = "primitive"
	kindGroup     kind = "group"
	kindClone     kind = "clone"
	kindBundle    kind = "bundle"
)

// resource is a top-level resource with its primitives.
type resource struct {
	id         string
	kind       kind
	at         *element
	meta       nvs // a clone's or group's own
	primitives []*primitive
	// ordered says that each primitive needs the one before it.
	ordered bool
	// inner is the group in a clone.
	inner string
	// scores are its location scores; exclusive are the nodes that it is confined to, nil for none.
	scores    scores
	exclusive map[string]bool
	// promotable says that a clone's instances have roles.
	promotable bool
}

// primitive is one resource agent with its parameters.
type primitive struct {
	id, class, provider, agent string
	at                         *element
	params, meta, utilization  nvs
	operations                 []*element
}

// spec is the agent as people write it.
func (p *primitive) spec() string {
	if p.provider != "" {
		return p.class + ":" + p.provider + ":" + p.agent
	}
	return p.class + ":" + p.agent
}

// parse reads a CIB, or a document with a configuration section.
func parse(data []byte, report *Report) (*config, error) {
	root, err := parseElements(data)
	if err != nil {
		return nil, err
	}
	configuration := root
	if root.name == "cib" {
		configuration = root.child("configuration")
	}
	if configuration == nil || configuration.name != "configuration" {
		return nil, wrong(root.line, "<%s> has no <configuration>: this is no CIB; export one with `cibadmin --query`", root.name)
	}
	c := &config{byID: map[string]*element{}, tags: map[string][]string{}, report: report}
	if err := c.index(configuration); err != nil {
		return nil, err
	}
	if crm := configuration.child("crm_config"); crm != nil {
		c.properties = c.sets(crm, "cluster_property_set")
	}
	for _, d := range configuration.all("rsc_defaults") {
		c.rscDefaults = c.rscDefaults.under(c.sets(d, "meta_attributes"))
	}
	for _, d := range configuration.all("op_defaults") {
		c.opDefaults = c.opDefaults.under(c.sets(d, "meta_attributes"))
	}
	for _, read := range []func(*element) error{c.readNodes, c.readTags, c.readResources, c.readConstraints} {
		if err := read(configuration); err != nil {
			return nil, err
		}
	}
	for _, t := range configuration.all("fencing-topology") {
		c.topology = append(c.topology, t.all("fencing-level")...)
	}
	c.sectionsWithout(configuration)
	return c, nil
}

// index finds every element by its id; an id that is there twice would make references mean two things.
func (c *config) index(e *element) error {
	if id := e.attrs["id"]; id != "" && e.name != "node" && e.name != "obj_ref" && e.name != "resource_ref" && e.name != "role" {
		if other := c.byID[id]; other != nil {
			return wrong(e.line, "the id %q of <%s> is that of <%s> in line %d already", id, e.name, other.name, other.line)
		}
		c.byID[id] = e
	}
	for _, child := range e.children {
		if err := c.index(child); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) readNodes(configuration *element) error {
	for _, e := range configuration.child("nodes").all("node") {
		name, err := e.require("uname")
		if err != nil {
			return err
		}
		if len(name) > 253 {
			return wrong(e.line, "the name of a node has %d bytes: a host's name has 253 at most", len(name))
		}
		if t := e.attrs["type"]; t != "" && t != "member" && t != "normal" {
			c.report.add(NotImported, e, "run an agent on the host and make it a Node of its own, or leave it out",
				"node %s is of type %s: it has no say in the cluster, and Quorate has no such nodes", name, t)
			continue
		}
		if slices.ContainsFunc(c.nodes, func(n *node) bool { return n.name == name }) {
			return wrong(e.line, "there are two nodes of the name %q", name)
		}
		c.nodes = append(c.nodes, &node{id: e.attrs["id"], name: name, at: e, attrs: c.sets(e, "instance_attributes"), utilization: c.sets(e, "utilization")})
	}
	slices.SortFunc(c.nodes, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	return nil
}

func (c *config) readTags(configuration *element) error {
	for _, tags := range configuration.all("tags") {
		for _, tag := range tags.all("tag") {
			for _, ref := range tag.all("obj_ref") {
				c.tags[tag.attrs["id"]] = append(c.tags[tag.attrs["id"]], ref.attrs["id"])
			}
		}
	}
	return nil
}

func (c *config) readConstraints(configuration *element) error {
	for _, section := range configuration.all("constraints") {
		c.constraints = append(c.constraints, section.children...)
	}
	return nil
}

// sectionsWithout reports whole sections that have no equivalent.
func (c *config) sectionsWithout(configuration *element) {
	for _, acls := range configuration.all("acls") {
		for _, e := range acls.children {
			c.report.add(NotImported, e, "use RBAC of the Kubernetes API: config/rbac/users.yaml has roles to start from",
				"access rules of the CIB are not those of Quorate")
		}
	}
	for _, alerts := range configuration.all("alerts") {
		for _, e := range alerts.all("alert") {
			c.report.add(NotImported, e, "watch Events and conditions instead, for instance with an exporter of Events",
				"Quorate calls no alert agents (%s)", e.attrs["path"])
		}
	}
}

// expand resolves a reference to a resource: a tag stands for all that it names.
func (c *config) expand(ref string) []string {
	if tagged, ok := c.tags[ref]; ok && c.find(ref) == nil {
		return tagged
	}
	return []string{ref}
}
