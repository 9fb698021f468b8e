package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/test/sim"
)

// quorumRow is one line of the table of `make bench-quorum`.
type quorumRow struct {
	what, measured, budget string
}

// quorumSections are measured in this order; each adds its rows.
var quorumSections = []func(context.Context, io.Writer) ([]quorumRow, error){simulatedAgreement, realHeartbeats}

// Quorum measures membership and heartbeats, and prints the table.
func Quorum(ctx context.Context, out, progress io.Writer) error {
	var rows []quorumRow
	for _, section := range quorumSections {
		more, err := section(ctx, progress)
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	fmt.Fprintf(out, "\n%-74s %24s  %s\n", "quorum", "measured", "budget")
	for _, r := range rows {
		fmt.Fprintf(out, "%-74s %24s  %s\n", r.what, r.measured, r.budget)
	}
	return nil
}

// simulatedAgreement is the protocol's own time, in simulated milliseconds: links of 0.1 to 2 ms, disks of up to 5 ms.
func simulatedAgreement(_ context.Context, progress io.Writer) ([]quorumRow, error) {
	var rows []quorumRow
	for _, c := range []struct {
		nodes  int
		seeds  uint64
		budget string
	}{{3, 20, "20 ms"}, {64, 1, "50 ms"}} {
		fmt.Fprintf(progress, "simulating %d nodes\n", c.nodes)
		var took []time.Duration
		for seed := range c.seeds {
			w := sim.NewWorld(sim.Options{Seed: seed, Nodes: c.nodes, Networks: 2})
			d, err := w.Agreement(model.NodeID(1 + 2*(seed%2)))
			if err != nil {
				return nil, fmt.Errorf("simulating %d nodes, seed %d: %w", c.nodes, seed, err)
			}
			took = append(took, d)
		}
		rows = append(rows, quorumRow{
			what:     fmt.Sprintf("view agreement after detection, %d nodes, simulated (median, worst of %d)", c.nodes, len(took)),
			measured: spread(took), budget: c.budget,
		})
	}
	return rows, nil
}
