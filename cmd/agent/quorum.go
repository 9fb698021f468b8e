package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/nodeagent"
)

// quorumCommand holds the verbs about quorum that are asked of the agent of this host.
func quorumCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "quorum", Short: "Ask the agent of this host about quorum"}
	cmd.AddCommand(quorumStatusCommand())
	return cmd
}

// addRunDir adds the flag that says which agent is meant.
func addRunDir(cmd *cobra.Command, client *localapi.Client) {
	cmd.Flags().StringVar(&client.RunDir, "run-dir", defaultRunDir, "the agent's run directory")
}

func quorumStatusCommand() *cobra.Command {
	client, output := &localapi.Client{}, ""
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how this host stands in the quorum of its cluster at this moment",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status := &nodeagent.QuorumStatus{}
			if err := client.Call(cmd.Context(), nodeagent.OpQuorumStatus, nodeagent.Nothing{}, status); err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), status, output, func(w io.Writer) error { return quorumTable(w, status) })
		},
	}
	addRunDir(cmd, client)
	cmd.Flags().StringVarP(&output, "output", "o", "", "json or yaml; empty: a table")
	return cmd
}

func quorumTable(w io.Writer, s *nodeagent.QuorumStatus) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	// A table keeps what is written until Flush, which returns the error.
	row := func(name, value string) { _, _ = fmt.Fprintf(table, "%s\t%s\n", name, value) }
	orNo := func(left string) string {
		if left == "" {
			return "no"
		}
		return "for " + left
	}
	row("Node", s.Node)
	row("View", s.View+": "+strings.Join(s.Members, ", "))
	row("Acting", orNo(s.ActingFor))
	row("Keeping", orNo(s.KeepingFor))
	row("Vote record", s.Committed)
	if s.Tentative != "" {
		row("Next record", s.Tentative)
	}
	for _, p := range s.Peers {
		row("Peer", fmt.Sprintf("%s: %s, grants %s", p.Node, p.State, orNo(p.GrantFor)))
	}
	return table.Flush()
}
