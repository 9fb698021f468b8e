package pacemaker

import (
	"fmt"
	"strings"
)

// Cluster is a Pacemaker cluster as the generator makes it: what both sides understand, and nothing else.
type Cluster struct {
	Nodes     []Node
	Resources []Resource
	Apart     []Apart
	Together  []Pair
	Orders    []Pair
	// Stickiness of each primitive; INFINITY is 1000000.
	Stickiness int
	// Strategy is the placement-strategy; empty for the default, which heeds no utilization.
	Strategy string
}

// Node is a host.
type Node struct {
	Name     string
	Standby  bool
	Capacity int // of cpu; heeded with a Strategy
}

// Resource is a primitive, or with several Members a group.
type Resource struct {
	Name    string
	Members int
	// Scores are location scores by node.
	Scores map[string]int
	// Rules writes them as rules on #uname instead.
	Rules    bool
	Priority int
	Stopped  bool
	Requests int // of cpu, of the first member
}

// Pair is an order (First, Then) or a colocation (Then with First).
type Pair struct{ First, Then string }

// Apart is a negative colocation.
type Apart struct {
	Pair
	Score int
}

// Infinity is Pacemaker's.
const Infinity = 1_000_000

// primitives are the ids of a resource's members.
func (r *Resource) primitives() []string {
	if r.Members <= 1 {
		return []string{r.Name}
	}
	ids := make([]string, r.Members)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%d", r.Name, i+1)
	}
	return ids
}

func score(n int) string {
	switch {
	case n >= Infinity:
		return "INFINITY"
	case n <= -Infinity:
		return "-INFINITY"
	}
	return fmt.Sprint(n)
}

// State is where the resources run, by the resource's name, and which nodes are down.
type State struct {
	Owners map[string]string
	Down   map[string]bool
}

// CIB writes the cluster in a state.
func (c *Cluster) CIB(state State) []byte {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("<cib crm_feature_set=\"3.16.2\" validate-with=\"pacemaker-3.9\" epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\" have-quorum=\"1\">\n<configuration>\n")
	p("<crm_config><cluster_property_set id=\"options\">")
	for name, value := range map[string]string{"stonith-enabled": "false", "no-quorum-policy": "ignore", "enable-startup-probes": "false", "placement-strategy": c.Strategy} {
		if value != "" {
			p("<nvpair id=\"option-%s\" name=\"%s\" value=\"%s\"/>", name, name, value)
		}
	}
	p("</cluster_property_set></crm_config>\n<nodes>\n")
	for i, n := range c.Nodes {
		p("<node id=\"%d\" uname=\"%s\">", i+1, n.Name)
		if n.Standby {
			p("<instance_attributes id=\"attrs-%s\"><nvpair id=\"standby-%s\" name=\"standby\" value=\"on\"/></instance_attributes>", n.Name, n.Name)
		}
		if n.Capacity > 0 {
			p("<utilization id=\"capacity-%s\"><nvpair id=\"cpu-%s\" name=\"cpu\" value=\"%d\"/></utilization>", n.Name, n.Name, n.Capacity)
		}
		p("</node>\n")
	}
	p("</nodes>\n<resources>\n")
	for i := range c.Resources {
		c.resource(p, i)
	}
	p("</resources>\n<constraints>\n")
	c.constraints(p)
	p("</constraints>\n<rsc_defaults><meta_attributes id=\"defaults\"><nvpair id=\"stickiness\" name=\"resource-stickiness\" value=\"%s\"/></meta_attributes></rsc_defaults>\n", score(c.Stickiness))
	p("</configuration>\n<status>\n")
	c.status(p, state)
	p("</status>\n</cib>\n")
	return []byte(b.String())
}

type printer func(format string, args ...any)

func (c *Cluster) resource(p printer, i int) {
	r := &c.Resources[i]
	ids := r.primitives()
	meta := fmt.Sprintf("<meta_attributes id=\"meta-%s\"><nvpair id=\"priority-%s\" name=\"priority\" value=\"%d\"/>", r.Name, r.Name, r.Priority)
	if r.Stopped {
		meta += fmt.Sprintf("<nvpair id=\"role-%s\" name=\"target-role\" value=\"Stopped\"/>", r.Name)
	}
	meta += "</meta_attributes>"
	if len(ids) > 1 {
		p("<group id=\"%s\">%s\n", r.Name, meta)
	}
	for j, id := range ids {
		p("<primitive id=\"%s\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\">", id)
		p("<instance_attributes id=\"attrs-%s\"><nvpair id=\"ip-%s\" name=\"ip\" value=\"10.%d.%d.%d\"/><nvpair id=\"mask-%s\" name=\"cidr_netmask\" value=\"8\"/></instance_attributes>", id, id, 1+i/250, 1+i%250, 1+j, id)
		if len(ids) == 1 {
			p("%s", meta)
		}
		if r.Requests > 0 && j == 0 {
			p("<utilization id=\"use-%s\"><nvpair id=\"use-cpu-%s\" name=\"cpu\" value=\"%d\"/></utilization>", id, id, r.Requests)
		}
		p("</primitive>\n")
	}
	if len(ids) > 1 {
		p("</group>\n")
	}
}

func (c *Cluster) constraints(p printer) {
	for _, r := range c.Resources {
		for _, n := range c.Nodes {
			s, ok := r.Scores[n.Name]
			switch id := fmt.Sprintf("loc-%s-%s", r.Name, n.Name); {
			case !ok:
			case r.Rules:
				p("<rsc_location id=\"%s\" rsc=\"%s\"><rule id=\"%s-rule\" score=\"%s\"><expression id=\"%s-e\" attribute=\"#uname\" operation=\"eq\" value=\"%s\"/></rule></rsc_location>\n", id, r.Name, id, score(s), id, n.Name)
			default:
				p("<rsc_location id=\"%s\" rsc=\"%s\" node=\"%s\" score=\"%s\"/>\n", id, r.Name, n.Name, score(s))
			}
		}
	}
	for i, a := range c.Apart {
		p("<rsc_colocation id=\"apart-%d\" rsc=\"%s\" with-rsc=\"%s\" score=\"%s\"/>\n", i, a.Then, a.First, score(a.Score))
	}
	for i, t := range c.Together {
		p("<rsc_colocation id=\"with-%d\" rsc=\"%s\" with-rsc=\"%s\" score=\"INFINITY\"/>\n", i, t.Then, t.First)
	}
	for i, o := range c.Orders {
		p("<rsc_order id=\"order-%d\" first=\"%s\" then=\"%s\"/>\n", i, o.First, o.Then)
	}
}

// status writes the nodes' state, and for what runs the history that says so.
func (c *Cluster) status(p printer, state State) {
	for i, n := range c.Nodes {
		up := "in_ccm=\"true\" crmd=\"online\" join=\"member\" expected=\"member\""
		if state.Down[n.Name] {
			up = "in_ccm=\"false\" crmd=\"offline\" join=\"down\" expected=\"down\""
		}
		p("<node_state id=\"%d\" uname=\"%s\" %s><lrm id=\"%d\"><lrm_resources>\n", i+1, n.Name, up, i+1)
		for j := range c.Resources {
			r := &c.Resources[j]
			if state.Owners[r.Name] != n.Name {
				continue
			}
			for _, id := range r.primitives() {
				const key = "1:1:0:00000000-0000-4000-8000-000000000000"
				p("<lrm_resource id=\"%s\" type=\"IPaddr2\" class=\"ocf\" provider=\"heartbeat\"><lrm_rsc_op id=\"%s_last_0\" operation_key=\"%s_start_0\" operation=\"start\" crm_feature_set=\"3.16.2\" transition-key=\"%s\" transition-magic=\"0:0;%s\" call-id=\"1\" rc-code=\"0\" op-status=\"0\" interval=\"0\"/></lrm_resource>\n", id, id, id, key, key)
			}
		}
		p("</lrm_resources></lrm></node_state>\n")
	}
}
