package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/quorate/quorate/pkg/nodeagent"
)

func statusCommand() *cobra.Command {
	runDir, output := defaultRunDir, ""
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how this host stands in its cluster, as its agent last noted it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := nodeagent.ReadLocalStatus(runDir)
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), status, output, func(w io.Writer) error { return printTable(w, status) })
		},
	}
	cmd.Flags().StringVar(&runDir, "run-dir", runDir, "the agent's run directory")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json or yaml; empty: a table")
	return cmd
}

// show prints an answer as JSON, as YAML, or by table.
func show(w io.Writer, answer any, output string, table func(io.Writer) error) error {
	switch output {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(answer)
	case "yaml":
		raw, err := yaml.Marshal(answer)
		if err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
		_, err = w.Write(raw)
		return err
	case "":
		return table(w)
	default:
		return fmt.Errorf("flag --output: %q is neither json nor yaml", output)
	}
}

func printTable(w io.Writer, s *nodeagent.LocalStatus) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	// A table keeps what is written until Flush, which returns the error.
	row := func(name string, value any) { _, _ = fmt.Fprintf(table, "%s\t%v\n", name, value) }
	row("Node", fmt.Sprintf("%s (id %d, generation %d, incarnation %d)", s.Node, s.NodeID, s.Generation, s.Incarnation))
	row("Cluster", fmt.Sprintf("%s (%s)", s.Cluster, s.ClusterID))
	row("View", fmt.Sprintf("%s: %s", s.View, strings.Join(s.Members, ", ")))
	row("Acting / keeping", fmt.Sprintf("%v / %v, lease left %s", s.Acting, s.Keeping, s.LeaseLeft))
	row("Vote record", s.Record)
	row("Reaches the API", fmt.Sprintf("%v, reporter %s", s.ReachesAPI, s.Reporter))
	if s.Journal != "" {
		row("Goes by the journal", s.Journal)
	}
	for _, d := range s.Decided {
		row("", fmt.Sprintf("%s %s: %s", d.Time.Format("15:04:05.000"), d.Object, d.What))
	}
	row("Heartbeat keys", strings.Join(s.Keys, ", "))
	for _, p := range s.Peers {
		row("Peer", fmt.Sprintf("%s speaks protocol version %d (understands %s), accepts key: %s", p.Node, p.Speaks, p.Understands, p.Key))
	}
	for _, l := range s.Links {
		row("Link", fmt.Sprintf("%s on %s: %s, loss %s, round trip %s +- %s", l.Node, l.Network, l.State, l.RecentLoss, l.RoundTrip, l.Jitter))
	}
	for _, g := range s.Groups {
		row("Group", fmt.Sprintf("%s epoch %d: %s", g.Group, g.Epoch, g.State))
		for _, name := range slices.Sorted(maps.Keys(g.Resources)) {
			row("", fmt.Sprintf("%s: %s", name, g.Resources[name]))
		}
	}
	for _, p := range s.Problems {
		row("Problem", fmt.Sprintf("%s %s: %s", p.Reason, p.Object, p.Message))
	}
	return table.Flush()
}
