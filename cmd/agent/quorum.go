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
	cmd.AddCommand(quorumStatusCommand(), quorumForceCommand(), quorumPreventCommand())
	return cmd
}

func quorumForceCommand() *cobra.Command {
	client, act := &localapi.Client{}, nodeagent.QuorumForce{}
	cmd := &cobra.Command{
		Use:   "force --reason TEXT",
		Short: "Let this node go on without a majority of the cluster",
		Long: "Gives this node quorum by your word alone, without the API server. Nothing but you keeps two sides apart then: be sure that no\n" +
			"other node of the cluster runs groups (power the others off, or run 'quorate-agent quorum prevent' on them first). What this node\n" +
			"knows of the votes wins over what the others know when they return, and the cluster is an ordinary one again by itself when a\n" +
			"majority of the configured votes is back. The act and its reason are logged, and QuorumConfig's status.forced shows it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := client.Call(cmd.Context(), nodeagent.OpQuorumForce, act, &nodeagent.Nothing{}); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "quorum is forced; 'quorate-agent quorum status' shows the view")
			return err
		},
	}
	addRunDir(cmd, client)
	cmd.Flags().StringVar(&act.Reason, "reason", "", "why no other node of the cluster can be acting (needed)")
	if err := cmd.MarkFlagRequired("reason"); err != nil {
		panic(err) // the flag was added one line above
	}
	return cmd
}

func quorumPreventCommand() *cobra.Command {
	client, act := &localapi.Client{}, nodeagent.QuorumPrevent{}
	cmd := &cobra.Command{
		Use:   "prevent",
		Short: "Keep this node from forming a quorum, until it has joined one that others have",
		Long: "For the nodes that come back beside one on which quorum was forced: they join it and form none of their own. It is remembered\n" +
			"over restarts and ends by itself when the node has joined; --off takes it back.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return client.Call(cmd.Context(), nodeagent.OpQuorumPrevent, act, &nodeagent.Nothing{})
		},
	}
	addRunDir(cmd, client)
	cmd.Flags().BoolVar(&act.Off, "off", false, "let it form a quorum again")
	cmd.Flags().StringVar(&act.Reason, "reason", "", "why, for the log")
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
	if s.Forced {
		row("Forced", "yes, until a majority of the configured votes is back")
	}
	if s.Prevented {
		row("Prevented", "yes: this node forms no quorum, it waits for others that have one")
	}
	if s.StopsIn != "" {
		row("Quorum lost", "the stop begins in "+s.StopsIn+" unless the challenge for the witness is won")
	}
	if w := s.Witness; w != nil {
		held := "held by nobody that is heard"
		if w.Holder != "" {
			held = "held by " + w.Holder
		}
		if !w.Counts {
			held += ", its vote does not count now"
		}
		row("Witness", w.Name+": "+held)
		if w.Trouble != "" {
			row("", w.Trouble)
		}
	}
	for _, p := range s.Peers {
		row("Peer", fmt.Sprintf("%s: %s, grants %s", p.Node, p.State, orNo(p.GrantFor)))
	}
	return table.Flush()
}
