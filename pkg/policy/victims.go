package policy

import "slices"

// fewest chooses victims that together end the shortage: none of a priority as high as the lowest that will do, of those as few as
// possible, and of equally many the least important. It returns nil when all of them together would not be enough. With one scarce
// resource the result is the best; with several it is minimal, in that none of the chosen could be spared.
func fewest(pool []victim, lack shortage) []victim {
	slices.SortFunc(pool, lessImportant)
	for from := 0; from < len(pool); {
		to := from + 1
		for to < len(pool) && pool[to].Priority == pool[from].Priority {
			to++
		}
		if enough(pool[:to], lack) {
			return spare(pool[:to], largestFirst(pool[:to], lack), lack)
		}
		from = to
	}
	return nil
}

// lessImportant is the order of placement, backwards: the last to be placed is the first to go.
func lessImportant(a, b victim) int { return byPriority(b.Group, a.Group) }

func enough(chosen []victim, lack shortage) bool {
	for _, v := range chosen {
		lack = lack.without(v.groupState)
	}
	return len(lack) == 0
}

// largestFirst takes the victim that ends the largest part of what is left of the shortage, until nothing is.
func largestFirst(pool []victim, whole shortage) []victim {
	var chosen []victim
	rest := slices.Clone(pool)
	for lack := whole; len(lack) > 0; {
		best, most := 0, int64(-1)
		for i, v := range rest {
			if share := lack.share(whole, v.groupState); share > most {
				best, most = i, share
			}
		}
		chosen = append(chosen, rest[best])
		lack = lack.without(rest[best].groupState)
		rest = slices.Delete(rest, best, best+1)
	}
	return chosen
}

// spare lets off whoever is not needed, the most important first, or puts a less important one in its place.
func spare(pool, chosen []victim, lack shortage) []victim {
	slices.SortFunc(chosen, lessImportant)
	for i := len(chosen) - 1; i >= 0; i-- {
		others := slices.Delete(slices.Clone(chosen), i, i+1)
		if enough(others, lack) {
			chosen = others
			continue
		}
		for _, v := range pool {
			if lessImportant(v, chosen[i]) >= 0 {
				break
			}
			in := slices.ContainsFunc(chosen, func(c victim) bool { return c.groupState == v.groupState })
			if !in && enough(append(slices.Clone(others), v), lack) {
				chosen[i] = v
				break
			}
		}
	}
	slices.SortFunc(chosen, lessImportant)
	return chosen
}
