package bench

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// print writes the table: minimum, median and maximum of each row, in milliseconds.
func (b *bench) print() {
	fmt.Fprintf(b.Out, "\n%-62s %3s %6s %6s %6s  %-26s %s\n", "milliseconds", "n", "min", "median", "max", "budget", "peers (median)")
	for _, r := range b.rows {
		slices.Sort(r.samples)
		fmt.Fprintf(b.Out, "%-62s %3d %6s %6s %6s  %-26s %s\n", r.what, len(r.samples), milliseconds(r.samples[0]),
			milliseconds(r.samples[len(r.samples)/2]), milliseconds(r.samples[len(r.samples)-1]), r.budget, r.peer)
	}
}
