package pacemaker

import (
	"fmt"
	"strconv"
	"strings"
)

// A rule of a location constraint is worked out for each node. That is possible for what a CIB says of nodes for good: their names and
// permanent attributes. What changes by itself (dates, attributes that agents set, such as pingd) has no equivalent.

// unknowable is why a rule cannot be worked out.
type unknowable struct{ why, do string }

// holds says whether the rule is true of the node.
func (c *config) holds(rule *element, n *node) (bool, *unknowable) {
	or := strings.EqualFold(rule.attrs["boolean-op"], "or")
	result := !or
	for _, e := range rule.children {
		var one bool
		var not *unknowable
		switch e.name {
		case "expression":
			one, not = c.expression(e, n)
		case "rule":
			one, not = c.holds(e, n)
		case "date_expression":
			not = &unknowable{"it depends on the time", "move the group at those times with the annotation quorate.io/move-to, or use a failback window"}
		default:
			not = &unknowable{fmt.Sprintf("it has a <%s>, which is not known here", e.name), ""}
		}
		if not != nil {
			return false, not
		}
		if or {
			result = result || one
		} else {
			result = result && one
		}
	}
	return result, nil
}

func (c *config) expression(e *element, n *node) (bool, *unknowable) {
	name := e.attrs["attribute"]
	value, defined := c.nodeAttribute(n, name)
	if !defined && !strings.HasPrefix(name, "#") && !c.permanent(name) {
		do := "if it says whether a node reaches something: the agents watch their own networks (docs/networks.md)"
		return false, &unknowable{fmt.Sprintf("it depends on the node attribute %q, which is not in the CIB: something sets it while the cluster runs", name), do}
	}
	switch operation := e.attrs["operation"]; operation {
	case "defined":
		return defined, nil
	case "not_defined":
		return !defined, nil
	case "ne":
		return !defined || compare(value, e.attrs["value"], e.attrs["type"]) != 0, nil
	case "eq", "lt", "lte", "gt", "gte":
		return defined && ordered(operation, compare(value, e.attrs["value"], e.attrs["type"])), nil
	}
	return false, &unknowable{fmt.Sprintf("its operation %q is not known here", e.attrs["operation"]), ""}
}

// ordered says whether a comparison's result is what the operation asks for.
func ordered(operation string, result int) bool {
	switch operation {
	case "lt":
		return result < 0
	case "lte":
		return result <= 0
	case "gt":
		return result > 0
	case "gte":
		return result >= 0
	}
	return result == 0
}

func (c *config) nodeAttribute(n *node, name string) (string, bool) {
	switch name {
	case "#uname":
		return n.name, true
	case "#id":
		return n.id, true
	case "#kind":
		return "cluster", true
	case "#cluster-name":
		return c.properties.get("cluster-name")
	}
	return n.attrs.get(name)
}

// permanent says that some node of the CIB has the attribute: then a node without it has none.
func (c *config) permanent(name string) bool {
	for _, n := range c.nodes {
		if _, ok := n.attrs.get(name); ok {
			return true
		}
	}
	return false
}

// compare orders two values: as numbers when both are and the rule does not say string, else as text without regard to case, as
// Pacemaker does.
func compare(a, b, as string) int {
	if as != "string" {
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(b, 64)
		if errX == nil && errY == nil {
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		}
	}
	return strings.Compare(strings.ToLower(a), strings.ToLower(b))
}
