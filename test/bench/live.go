package bench

import (
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/decision/decisiontest"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/test/pacemaker"
)

// liveChange measures the group controller's round when one resource of many has restarted: over everything, and with the last round
// remembered. Reading the cache and writing the one status are not in it.
func liveChange(out, progress io.Writer) error {
	fmt.Fprintf(out, "\none resource restarts, %d nodes: the group controller's round\n%8s %16s %12s %12s %16s %12s %12s\n", policyNodes,
		"groups", "looked at: all", "user CPU", "wall", "with memory", "user CPU", "wall")
	for _, groups := range []int{100, 1000, 10_000} {
		fmt.Fprintf(progress, "one resource restarts, %d groups\n", groups)
		o := decisiontest.Large(policyNodes, groups)
		memory := &decision.Memory{}
		memory.Keep(memory.Round(o, 9, decisiontest.Now), 9)
		versions, looked := 0, 0
		next := func() *snapshot.Objects {
			versions++
			return decisiontest.Edit(o, func(c *snapshot.Objects) { decisiontest.Restarted(c, versions%groups, fmt.Sprint("v", versions)) })
		}
		user, wall := timed(func() {
			c := next()
			round := decision.NewRound(c, 9, decisiontest.Now)
			for i, g := range c.Groups {
				equality.Semantic.DeepEqual(&g.Status, round.Status(g, i, nil))
			}
		})
		memoryUser, memoryWall := timed(func() {
			o = next()
			round := memory.Round(o, 9, decisiontest.Now)
			if looked = len(round.Changed()); looked == 0 {
				return
			}
			for _, i := range round.Changed() {
				equality.Semantic.DeepEqual(&o.Groups[i].Status, round.Status(o.Groups[i], i, nil))
			}
			memory.Keep(round, 9)
		})
		if looked != 1 {
			return fmt.Errorf("one resource of %d groups has restarted, and %d groups were looked at", groups, looked)
		}
		fmt.Fprintf(out, "%8d %16d %12s %12s %16d %12s %12s\n", groups, groups, short(user), short(wall), looked, short(memoryUser), short(memoryWall))
	}
	return nil
}

// timed does something again and again for a while. It returns the mean of the user CPU and of the time that it took.
func timed(do func()) (user, wall time.Duration) {
	do()
	start, used, times := time.Now(), pacemaker.UserTime(), 0
	for times < 3 || time.Since(start) < policyTime {
		do()
		times++
	}
	return (pacemaker.UserTime() - used) / time.Duration(times), time.Since(start) / time.Duration(times)
}
