package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/pkg/model"
)

// details complete the sentences of filters with the objects that are involved: which group conflicts, which resource's list, how much
// is asked for and how much is free. A filter that is not here says all there is to say.
var details = map[model.Reason]func(p *planner, g *groupState, n *nodeState) string{
	model.ReasonNotPossibleOwner:     forbiddenBy,
	model.ReasonDiskNotVisible:       hiddenDisks,
	model.ReasonImageMissing:         missingImages,
	model.ReasonInsufficientCapacity: shortages,
	model.ReasonAntiAffinityConflict: conflicts,
}

// sentence is what the filter says of the node for the group, after the node's name.
func (f *filter) sentence(p *planner, g *groupState, n *nodeState) string {
	if detail := details[f.reason]; detail != nil {
		if text := detail(p, g, n); text != "" {
			return f.message + " (" + text + ")"
		}
	}
	return f.message
}

// forbiddenBy names the resources whose lists leave the node out.
func forbiddenBy(_ *planner, g *groupState, n *nodeState) string {
	var lists []string
	for _, l := range g.OwnerLists {
		if !slices.Contains(l.Owners, n.Name) {
			lists = append(lists, fmt.Sprintf("possibleOwners of Resource %s: %s", l.Resource, strings.Join(l.Owners, ", ")))
		}
	}
	return few(lists, "; ")
}

func hiddenDisks(_ *planner, g *groupState, n *nodeState) string {
	var hidden []string
	for _, d := range g.Disks {
		if n.HiddenDisks[d] {
			hidden = append(hidden, d)
		}
	}
	return few(hidden, ", ")
}

func missingImages(_ *planner, g *groupState, n *nodeState) string {
	var missing []string
	for _, image := range g.Images {
		if n.LackedImages[image] == model.ImageMissing {
			missing = append(missing, image)
		}
	}
	return few(missing, ", ")
}

// shortages says of each resource that is short how much is asked for and how much is free.
func shortages(_ *planner, g *groupState, n *nodeState) string {
	here := slices.Contains(g.places, n.index)
	var short []string
	for i := range n.limits {
		l := &n.limits[i]
		if l.missing(g, here) > 0 {
			asked := g.Requests[l.name]
			free := max(0, l.amount-l.usedByOthers(asked, here))
			short = append(short, fmt.Sprintf("%s: %s asked for, %s of %s free", l.name, amountText(asked), amountText(free), amountText(l.amount)))
		}
	}
	return few(short, ", ")
}

// conflicts names the groups on the node that share a class with the group, in order of their names.
func conflicts(p *planner, g *groupState, n *nodeState) string {
	var others []string
	for _, class := range g.AntiAffinityClasses {
		for _, i := range n.classes[class] {
			if i != g.index {
				others = append(others, p.groups[i].Key.String()+" of class "+class)
			}
		}
	}
	slices.Sort(others)
	return few(slices.Compact(others), ", ")
}

// few joins the first of many, and says how many more there are.
func few(list []string, separator string) string {
	const most = 4
	if len(list) > most {
		list = append(slices.Clone(list[:most-1]), fmt.Sprintf("%d more", len(list)-most+1))
	}
	return strings.Join(list, separator)
}

// amountText writes an amount in milli-units as a quantity: 2500 is 2500m, 4294967296000 is 4Gi.
func amountText(milli int64) string {
	if milli%1000 != 0 {
		return strconv.FormatInt(milli, 10) + "m"
	}
	amount := milli / 1000
	units := []string{"", "Ki", "Mi", "Gi", "Ti", "Pi"} // the largest amount in milli-units is 8Pi
	unit := 0
	for amount != 0 && amount%1024 == 0 {
		amount, unit = amount/1024, unit+1
	}
	return strconv.FormatInt(amount, 10) + units[unit]
}
