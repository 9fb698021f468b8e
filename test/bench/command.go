package bench

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/test/lab"
)

// Command is `quorate-lab bench`.
func Command() *cobra.Command {
	options := Options{Up: lab.Options{BinDir: os.Getenv("QUORATE_BIN")}}
	twoNodes, autonomy, resources := false, false, false
	command := &cobra.Command{
		Use:   "bench",
		Short: "Time failovers, moves and restarts as a client feels them",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			options.Out, options.Progress = c.OutOrStdout(), c.ErrOrStderr()
			c.SilenceUsage = true
			if twoNodes {
				return TwoNodes(c.Context(), options, "config/samples/two-node")
			}
			if autonomy {
				return Autonomy(c.Context(), options)
			}
			if resources {
				return Resources(c.Context(), options)
			}
			return Failover(c.Context(), options)
		},
	}
	command.AddCommand(&cobra.Command{
		Use:   "quorum",
		Short: "Time membership and heartbeats with 3 to 64 nodes (needs no lab)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			c.SilenceUsage = true
			return Quorum(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	})
	command.AddCommand(&cobra.Command{
		Use:   "policy",
		Short: "Time decisions about 100 to 30,000 groups, with Pacemaker's scheduler beside them (needs no lab)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			c.SilenceUsage = true
			return Policy(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	})
	flags := command.Flags()
	flags.StringVar(&options.Up.Name, "name", "bench", "name of the lab")
	flags.StringVar(&options.Samples, "samples", "config/samples/demo", "directory of the manifests to apply")
	flags.IntVar(&options.Repetitions, "repetitions", 5, "how often each thing is measured")
	flags.BoolVar(&twoNodes, "two-nodes", false, "measure two hosts with a disk witness instead: power cuts, and a split in the middle")
	flags.BoolVar(&autonomy, "autonomy", false, "measure hosts with the control plane on them instead: power cuts with and without API servers")
	flags.BoolVar(&resources, "resources", false, "measure many groups instead: 200 on one host, at rest and from cold, and the death of a host with 1,000")
	command.MarkFlagsMutuallyExclusive("two-nodes", "autonomy", "resources")
	return command
}
