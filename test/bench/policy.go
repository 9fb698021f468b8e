package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/policy/polictest"
	"github.com/quorate/quorate/test/pacemaker"
)

const (
	policyNodes = 64
	// rivalLimit bounds one run of crm_simulate; larger clusters are not tried once one has taken longer.
	rivalLimit = 60 * time.Second
	// policyTime is how long one row of ours is measured.
	policyTime = time.Second
)

var policySizes = []int{100, 300, 1000, 3000, 10_000, 30_000}

// policyCase is one occasion on which everything is decided anew.
type policyCase struct {
	what    string
	make    func(nodes, groups int) (*model.Snapshot, time.Time)
	budgets map[int]string // by number of groups
	rival   bool
}

var policyCases = []policyCase{
	{"one node dies", polictest.Large, map[int]string{10_000: "10 ms"}, true},
	{"placement from nothing", polictest.Nowhere, map[int]string{10_000: "150 ms"}, true},
	{"nothing is wrong", healthy, nil, false},
}

func healthy(nodes, groups int) (*model.Snapshot, time.Time) {
	s, now := polictest.Large(nodes, groups)
	s.View.Members = append(s.View.Members, model.ViewMember{Member: model.Member{ID: s.Nodes[0].ID, Generation: s.Nodes[0].Generation}, ReachesAPI: true})
	return s, now
}

// Policy measures decisions at growing numbers of groups, with Pacemaker's scheduler beside ours on the same clusters, and prints tables.
// The growth of a row is its user CPU against that of 1,000 groups, divided by what groups x log(groups) would make of it: at most about
// 1 says that it grows no worse.
func Policy(ctx context.Context, out, progress io.Writer) error {
	for _, c := range policyCases {
		fmt.Fprintf(out, "\n%s, %d nodes\n%8s %10s %12s %12s %8s  %s\n", c.what, policyNodes, "groups", "decisions", "user CPU", "wall", "budget", "crm_simulate: user CPU, wall")
		tooLong := false
		var users []time.Duration
		for _, groups := range policySizes {
			fmt.Fprintf(progress, "%s, %d groups\n", c.what, groups)
			decisions, user, wall := measurePlan(c, groups)
			users = append(users, user)
			rival := ""
			if c.rival {
				var err error
				if rival, err = measureRival(ctx, c, groups, &tooLong); err != nil {
					return err
				}
			}
			fmt.Fprintf(out, "%8d %10d %12s %12s %8s  %s\n", groups, decisions, short(user), short(wall), c.budgets[groups], rival)
		}
		fmt.Fprintf(out, "growth against groups x log(groups), from %d groups:", policySizes[2])
		for i := 3; i < len(policySizes); i++ {
			fmt.Fprintf(out, "  %d: %.2f", policySizes[i], growth(policySizes[2], policySizes[i], users[2], users[i]))
		}
		fmt.Fprintln(out)
	}
	return liveChange(out, progress)
}

// growth is how many times more it takes than it would if the cost were groups x log(groups).
func growth(fromGroups, groups int, from, took time.Duration) float64 {
	n, m := float64(groups), float64(fromGroups)
	return float64(took) / float64(from) / (n * math.Log(n) / (m * math.Log(m)))
}

func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}

// measurePlan plans again and again for a while. User CPU is the mean, with what the garbage collector takes; wall is the median.
func measurePlan(c policyCase, groups int) (decisions int, user, wall time.Duration) {
	s, now := c.make(policyNodes, groups)
	decisions = len(policy.Plan(s, now).Decisions)
	runtime.GC()
	var walls []time.Duration
	start, used := time.Now(), pacemaker.UserTime()
	for len(walls) < 5 || time.Since(start) < policyTime {
		begin := time.Now()
		policy.Plan(s, now)
		walls = append(walls, time.Since(begin))
	}
	user = (pacemaker.UserTime() - used) / time.Duration(len(walls))
	slices.Sort(walls)
	return decisions, user, walls[len(walls)/2]
}

// measureRival has crm_simulate decide about the same cluster, once.
func measureRival(ctx context.Context, c policyCase, groups int, tooLong *bool) (string, error) {
	if *tooLong {
		return fmt.Sprintf("> %s (not tried)", rivalLimit), nil
	}
	s, _ := c.make(policyNodes, groups)
	cluster, state := pacemaker.Same(s)
	directory, err := os.MkdirTemp("", "quorate-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(directory)
	file := filepath.Join(directory, "cib.xml")
	if err := os.WriteFile(file, cluster.CIB(state), 0o600); err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, rivalLimit)
	defer cancel()
	_, cost, err := pacemaker.Ask(limited, file)
	switch {
	case errors.Is(err, pacemaker.ErrMissing):
		return err.Error(), nil
	case limited.Err() != nil && ctx.Err() == nil:
		*tooLong = true
		return fmt.Sprintf("> %s", rivalLimit), nil
	case err != nil:
		return "", err
	}
	return fmt.Sprintf("%s, %s", short(cost.User), short(cost.Wall)), nil
}
