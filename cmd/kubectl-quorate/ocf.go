package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/audit/report"
	"github.com/quorate/quorate/pkg/ocf"
)

// ocfOptions are the flags of `ocf`.
type ocfOptions struct {
	root, output string
}

func ocfCommand() *cobra.Command {
	o := &ocfOptions{}
	c := &cobra.Command{
		Use:     "ocf",
		GroupID: "look",
		Short:   "List and describe the OCF resource agents of this machine",
		Long: `Shows the resource agents of the Open Cluster Framework that are installed on the machine where the command runs, for resources of type OCF.
Run it on a host of the cluster, or on a machine with the same package (resource-agents brings those of the provider heartbeat).`,
		Example: `  kubectl quorate ocf list
  kubectl quorate ocf describe heartbeat/pgsql`,
	}
	c.PersistentFlags().StringVar(&o.root, "root", ocf.DefaultRoot, "directory of the agents")
	c.PersistentFlags().StringVarP(&o.output, "output", "o", report.Table, "table, json or yaml")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(report.Formats, cobra.ShellCompDirectiveNoFileComp))
	c.AddCommand(&cobra.Command{
		Use: "list [PROVIDER]", Short: "List the agents, with a line on each", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.list(c, strings.Join(args, "")) },
	}, &cobra.Command{
		Use: "describe PROVIDER/AGENT", Short: "Show an agent's parameters and actions", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.describe(c, args[0]) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return o.names(), cobra.ShellCompDirectiveNoFileComp
		},
	})
	return c
}

// names are those of all agents; none when they cannot be listed.
func (o *ocfOptions) names() []string {
	all, err := ocf.List(o.root)
	if err != nil {
		return nil
	}
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.String()
	}
	return names
}

// listed is a line of the list.
type listed struct {
	Agent            string `json:"agent"`
	ShortDescription string `json:"shortDescription,omitempty"`
	Problem          string `json:"problem,omitempty"`
}

func (o *ocfOptions) list(c *cobra.Command, provider string) error {
	if err := report.CheckFormat(o.output); err != nil {
		return errInput{err}
	}
	all, err := ocf.List(o.root)
	if err != nil {
		return err
	}
	list := []listed{}
	for _, a := range all {
		if provider != "" && a.Provider != provider {
			continue
		}
		line := listed{Agent: a.String()}
		if m, err := a.Metadata(c.Context()); err != nil {
			line.Problem = err.Error()
		} else {
			line.ShortDescription = m.ShortDescription
		}
		list = append(list, line)
	}
	if len(list) == 0 {
		return fmt.Errorf("%s has no OCF agents here: install the package resource-agents, or name another directory with --root", o.root)
	}
	if o.output != report.Table {
		return report.Value(c.OutOrStdout(), list, o.output)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
	for _, l := range list {
		text := l.ShortDescription
		if l.Problem != "" {
			text = "cannot be used: " + l.Problem
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\n", l.Agent, text); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (o *ocfOptions) describe(c *cobra.Command, arg string) error {
	if err := report.CheckFormat(o.output); err != nil {
		return errInput{err}
	}
	provider, name, _ := strings.Cut(strings.TrimPrefix(arg, "ocf:"), "/")
	if p, n, colon := strings.Cut(strings.TrimPrefix(arg, "ocf:"), ":"); colon { // as Pacemaker writes it
		provider, name = p, n
	}
	a, err := ocf.Find(o.root, provider, name)
	if err != nil {
		return errInput{err}
	}
	m, err := a.Metadata(c.Context())
	if err != nil {
		return err
	}
	if o.output != report.Table {
		return report.Value(c.OutOrStdout(), m, o.output)
	}
	return describeAgent(c.OutOrStdout(), a, m)
}

func describeAgent(out io.Writer, a ocf.Agent, m *ocf.Metadata) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", a, m.ShortDescription)
	if m.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", m.Description)
	}
	fmt.Fprintf(&b, "\nParameters\n")
	for i := range m.Parameters {
		p := &m.Parameters[i]
		words := []string{p.Type}
		if p.Required {
			words = append(words, "required")
		}
		if p.Unique {
			words = append(words, "unique")
		}
		if p.Deprecated {
			words = append(words, "deprecated")
		}
		if p.Default != "" {
			words = append(words, fmt.Sprintf("default %q", p.Default))
		}
		fmt.Fprintf(&b, "  %s (%s)\n      %s\n", p.Name, strings.Join(words, ", "), p.ShortDescription)
	}
	fmt.Fprintf(&b, "\nActions, with what the agent advises\n")
	for _, action := range m.Actions {
		fmt.Fprintf(&b, "  %-14s timeout %s%s\n", action.Name, orNone(action.Timeout), interval(action))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func orNone(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	return d.String()
}

func interval(a ocf.Action) string {
	if a.Interval == 0 {
		return ""
	}
	return fmt.Sprintf(", every %s", a.Interval)
}
