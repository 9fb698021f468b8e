package validation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// neverFits warns of a group that asks for more than any of its possible owners has, reserved parts left out: it waits for ever. It only
// warns, since a larger node may join, and since it stops nothing that runs.
func neverFits(s *scope) []Finding {
	var found []Finding
	for _, g := range s.Groups {
		if len(g.Spec.Requests) == 0 || len(s.Nodes) == 0 {
			continue
		}
		owners := snapshot.PossibleOwners(s.resources[snapshot.Key(g)])
		var short []string
		fits := false
		for _, n := range s.Nodes {
			if owners != nil && !slices.Contains(owners, n.Name) {
				continue
			}
			what := tooSmall(n, g.Spec.Requests)
			fits = fits || what == ""
			short = append(short, n.Name+" "+what)
		}
		if fits || len(short) == 0 {
			continue
		}
		slices.Sort(short)
		if more := len(short) - 4; more > 0 {
			short = append(short[:4], fmt.Sprintf("and %d more", more))
		}
		found = append(found, warn(aboutGroup(g, "spec.requests", v1alpha1.GroupReasonTooLarge,
			"no node that may have the group has room for it, even with nothing else on it: "+strings.Join(short, "; "))))
	}
	return found
}

// tooSmall says what the node has too little of for the requests, the first by name, or "".
func tooSmall(n *v1alpha1.Node, requests v1alpha1.Quantities) string {
	for _, name := range sortedKeys(requests) {
		free, limited := n.Spec.Capacity[name]
		asked := requests[name]
		if !limited || asked.IsZero() {
			continue
		}
		free = free.DeepCopy()
		free.Sub(n.Spec.Reserved[name])
		if asked.Cmp(free) > 0 {
			return fmt.Sprintf("has %s of %s for groups, %s are asked for", free.String(), name, asked.String())
		}
	}
	return ""
}
