// Package cli is the command line of the lab, a thin shell over package lab.
package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/lab/protocol"
)

// flags are those of every command.
type flags struct {
	name   string
	output string
}

// New makes the command quorate-lab. The caller may add commands of its own to it.
func New() *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:   "quorate-lab",
		Short: "Simulated hosts on one machine, and ways to break them",
		Long: `quorate-lab makes a small data centre on one machine: hosts with a network, a process tree, a root file system and a disk of
their own, shared disks with enforced reservations, three networks, a real Kubernetes API server, and a client host outside.
Then it breaks them: power cuts, cut or lossy links, failing disks, an API server that is gone.

It needs root, and leaves nothing behind: not after down, not after Ctrl-C, not after a crash.`,
		Example: `  quorate-lab up --manifests config/samples/demo
  export KUBECONFIG=$(quorate-lab kubeconfig)
  quorate-lab exec node-a -- ip addr
  quorate-lab probe http://10.77.2.50:8080/ --until-outage &
  quorate-lab host kill node-a
  quorate-lab down`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&f.name, "name", protocol.DefaultName, "name of the lab; several can run at once")
	root.AddGroup(
		&cobra.Group{ID: "lab", Title: "The lab:"}, &cobra.Group{ID: "use", Title: "Look around:"}, &cobra.Group{ID: "break", Title: "Break things:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("lab", upCommand(f), downCommand(f), statusCommand(f), listCommand(f))
	add("use", kubeconfigCommand(f), execCommand(f), logsCommand(f), probeCommand(f))
	add("break", hostCommand(f), processCommand(f), netCommand(f), diskCommand(f), apiCommand(f))
	root.AddCommand(internalCommands()...)
	return root
}

func (f *flags) addOutput(c *cobra.Command) {
	c.Flags().StringVarP(&f.output, "output", "o", "", "json or yaml instead of text")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

// attach finds the lab that the flags name.
func (f *flags) attach(c *cobra.Command) (*lab.Lab, error) { return lab.Attach(c.Context(), f.name) }

// print writes a value in the format of -o, or calls text for the default one.
func (f *flags) print(w io.Writer, value any, text func(io.Writer)) error {
	switch f.output {
	case "":
		text(w)
		return nil
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case "yaml":
		content, err := yaml.Marshal(value)
		if err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	}
	return fmt.Errorf("--output %q: use json or yaml", f.output)
}

// completeHosts offers the hosts of the lab.
func (f *flags) completeHosts(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	l, err := f.attach(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := l.Status(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, h := range s.Hosts {
		names = append(names, h.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// simple makes a command with exact arguments that only does something on the lab.
func (f *flags) simple(use, short string, args cobra.PositionalArgs, do func(*cobra.Command, *lab.Lab, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args, ValidArgsFunction: f.completeHosts,
		RunE: func(c *cobra.Command, args []string) error {
			l, err := f.attach(c)
			if err != nil {
				return err
			}
			return do(c, l, args)
		},
	}
}
