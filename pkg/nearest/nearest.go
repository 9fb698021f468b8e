// Package nearest finds what somebody may have meant: the known name that is closest to one that is not known.
package nearest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// To returns the known name that is nearest to name by edits, letters' case left aside; "" when none is near: more than two edits and
// more than a third of the name away, or nothing in common. Of several it is one of the same length, then the first.
func To(name string, known []string) string {
	length := len([]rune(name))
	best, distance := "", min(length, max(2, length/3)+1)
	for _, k := range slices.Sorted(slices.Values(known)) {
		d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(k))
		if d < distance || d == distance && best != "" && len(k) == len(name) && len(best) != len(name) {
			best, distance = k, d
		}
	}
	return best
}

// Hint is the end of a sentence about an unknown name: what may have been meant, else what there is, if that is not much.
func Hint(name string, known []string) string {
	if near := To(name, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	sorted := slices.Sorted(slices.Values(known))
	const most = 12
	switch {
	case len(sorted) == 0:
		return ""
	case len(sorted) > most:
		return fmt.Sprintf("; there are %s and %d more", strings.Join(sorted[:most-1], ", "), len(sorted)-most+1)
	}
	return "; there is " + strings.Join(sorted, ", ")
}
