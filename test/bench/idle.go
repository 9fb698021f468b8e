package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// agentCost is what an agent has cost so far: CPU time of all its threads, and the memory that it has now.
type agentCost struct {
	cpu time.Duration
	rss float64 // MB
	// own is what of it is the process's alone; the rest is pages of the program's file, which the kernel has once for all who run it.
	own float64
}

// costScript prints the nanoseconds of CPU that the agent's threads have used, its resident memory in kB, and the part that is its own.
const costScript = `p=$(pgrep -o -f 'quorate-agent run') && cat /proc/$p/task/*/schedstat | awk '{n += $1} END {printf "%d ", n}' &&
awk '/^VmRSS:/ {all = $2} /^RssAnon:/ {own = $2} END {print all, own}' /proc/$p/status`

func (b *bench) agentCost(ctx context.Context, host string) (agentCost, error) {
	out, err := b.lab.Exec(ctx, host, "sh", "-c", costScript)
	if err != nil {
		return agentCost{}, fmt.Errorf("looking at the agent of %s: %w", host, err)
	}
	var ns, kB, own int64
	if _, err := fmt.Sscan(out, &ns, &kB, &own); err != nil {
		return agentCost{}, fmt.Errorf("looking at the agent of %s: %q: %w", host, out, err)
	}
	return agentCost{cpu: time.Duration(ns), rss: float64(kB) / 1000, own: float64(own) / 1000}, nil
}

// idleAgents measures what the agents cost while meanwhile runs, in which nothing happens to the cluster.
func (b *bench) idleAgents(ctx context.Context, meanwhile func() error) error {
	hosts := []string{"node-a", "node-b", "node-c"}
	before, began := map[string]agentCost{}, time.Now()
	for _, host := range hosts {
		var err error
		if before[host], err = b.agentCost(ctx, host); err != nil {
			return err
		}
	}
	if err := meanwhile(); err != nil {
		return err
	}
	passed := time.Since(began).Seconds()
	var cpu, rss, own []float64
	for _, host := range hosts {
		after, err := b.agentCost(ctx, host)
		if err != nil {
			return err
		}
		cpu = append(cpu, 100*(after.cpu-before[host].cpu).Seconds()/passed)
		rss, own = append(rss, after.rss), append(own, after.own)
	}
	slices.Sort(cpu)
	slices.Sort(rss)
	slices.Sort(own)
	fmt.Fprintf(b.Out, "\nidle agent, of three (least, most):\n  %-40s %.2f%%, %.2f%%  budget 1%%\n", "CPU of a core", cpu[0], cpu[2])
	fmt.Fprintf(b.Out, "  %-40s %.1f MB, %.1f MB  budget 30 MB\n", "resident memory", rss[0], rss[2])
	fmt.Fprintf(b.Out, "  %-40s %.1f MB, %.1f MB\n", "  of it not pages of the program's file", own[0], own[2])
	return nil
}
