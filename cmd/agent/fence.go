package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/nodeagent"
)

// fenceCommand holds the verbs about fencing that are asked of the agent of this host.
func fenceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "fence", Short: "Ask the agent of this host about fencing"}
	cmd.AddCommand(fenceStatusCommand(), fenceConfirmCommand())
	return cmd
}

// lastGeneration stands for the newest generation that the agent knows.
const lastGeneration = "last"

func fenceConfirmCommand() *cobra.Command {
	client, request, generation := &localapi.Client{}, nodeagent.ConfirmOff{}, ""
	cmd := &cobra.Command{
		Use:   "confirm --node NAME --generation N|last --reason TEXT",
		Short: "Say that another host is off, so that what it ran may go online elsewhere",
		Long: "Say that another host is off: its power was cut, or it was carried away. What it ran goes online elsewhere on that word; " +
			"if the host is on after all, the same group may run twice and write to the same disk. It counts for one life of the node " +
			"(its generation) and for no other. It is kept in the log, in the Node's status, and as an Event.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if generation != lastGeneration {
				n, err := strconv.ParseUint(generation, 10, 63)
				if err != nil || n == 0 {
					return fmt.Errorf("flag --generation: %q is neither a number above 0 nor %q", generation, lastGeneration)
				}
				request.Generation = n
			}
			confirmed := &v1alpha1.AgentConfirmation{}
			if err := client.Call(cmd.Context(), nodeagent.OpFenceConfirm, request, confirmed); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s, generation %d: confirmed off by %s\n", confirmed.Node, confirmed.Generation, confirmed.By)
			return err
		},
	}
	addRunDir(cmd, client)
	flags := cmd.Flags()
	flags.StringVar(&request.Node, "node", "", "name of the node whose host is off")
	flags.StringVar(&generation, "generation", "", "the life of the node that is over (status.generation), or last: the newest that is known here")
	flags.StringVar(&request.Reason, "reason", "", "how it is known that the host is off")
	for _, name := range []string{"node", "generation", "reason"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // a flag that was not defined above
		}
	}
	return cmd
}

func fenceStatusCommand() *cobra.Command {
	client, output := &localapi.Client{}, ""
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whom this host can fence, and what was fenced or confirmed from here",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status := &nodeagent.FenceStatus{}
			if err := client.Call(cmd.Context(), nodeagent.OpFenceStatus, nodeagent.Nothing{}, status); err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), status, output, func(w io.Writer) error { return fenceTable(w, status) })
		},
	}
	addRunDir(cmd, client)
	cmd.Flags().StringVarP(&output, "output", "o", "", "json or yaml; empty: a table")
	return cmd
}

func fenceTable(w io.Writer, s *nodeagent.FenceStatus) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	// A table keeps what is written until Flush, which returns the error.
	row := func(name, node, text string) { _, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", name, node, text) }
	for _, t := range s.CanFence {
		row("Can fence", t.Node, fmt.Sprintf("levels %v", t.Levels))
	}
	for _, v := range s.Lost {
		row("Lost", v.Node, v.Code+": "+v.Message)
	}
	for _, f := range s.Fencings {
		row(string(f.State), f.Node, fmt.Sprintf("generation %d at %s: %s", f.Generation, f.Time.Format(time.RFC3339), f.Message))
	}
	for _, c := range s.Confirmations {
		row("Confirmed off", c.Node, fmt.Sprintf("generation %d by %s: %s", c.Generation, c.By, c.Reason))
	}
	return table.Flush()
}
