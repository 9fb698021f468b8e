package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/importer/pacemaker"
)

// importOptions are the flags of `import pacemaker`.
type importOptions struct {
	*access
	output, namespace, corosync string
	addresses                   []string
	report                      bool
}

func importCommand(a *access) *cobra.Command {
	c := &cobra.Command{
		Use: "import", GroupID: "change", Short: "Turn the configuration of another cluster software into manifests", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	o := &importOptions{access: a}
	p := &cobra.Command{
		Use:   "pacemaker CIB",
		Short: "Turn a Pacemaker CIB into manifests, and report what has no equivalent",
		Long: `Reads a CIB (as cibadmin --query prints it; - for standard input) and prints manifests of Cluster, QuorumConfig, Nodes, ResourceGroups
and Resources. What has no equivalent, or behaves in another way, is reported on standard error with its XML id, its line and what to
do. Nothing is changed anywhere, and no cluster is needed.

Nodes' addresses are not in the CIB: give corosync.conf too, or --address.`,
		Example: `  cibadmin --query > cib.xml
  kubectl quorate import pacemaker cib.xml --corosync /etc/corosync/corosync.conf > manifests.yaml
  kubectl quorate import pacemaker cib.xml --report
  kubectl quorate import pacemaker cib.xml --address alpha=10.20.0.11/24 --address beta=10.20.0.12/24 -n shop -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args[0]) },
	}
	f := p.Flags()
	f.StringVarP(&o.output, "output", "o", pacemaker.YAML, "yaml or json")
	f.BoolVar(&o.report, "report", false, "print the report alone, on standard output (a table, or JSON with -o json)")
	f.StringVarP(&o.namespace, "namespace", "n", "default", "namespace of the groups and resources")
	f.StringVar(&o.corosync, "corosync", "", "corosync.conf of the cluster")
	f.StringArrayVar(&o.addresses, "address", nil, "NODE=ADDRESS/LENGTH, an address of a node (repeat)")
	_ = p.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(pacemaker.Formats, cobra.ShellCompDirectiveNoFileComp))
	c.AddCommand(p)
	return c
}

func (o *importOptions) run(c *cobra.Command, file string) error {
	if !slices.Contains(pacemaker.Formats, o.output) {
		return fmt.Errorf("flag --output: %q is not one of %s", o.output, strings.Join(pacemaker.Formats, ", "))
	}
	options := pacemaker.Options{ClusterName: o.cluster, Namespace: o.namespace, CorosyncName: o.corosync}
	var err error
	if options.Addresses, err = nodeAddresses(o.addresses); err != nil {
		return err
	}
	if o.corosync != "" {
		if options.Corosync, err = os.ReadFile(o.corosync); err != nil {
			return fmt.Errorf("reading corosync's configuration: %w", err)
		}
	}
	cib, err := readFileOrInput(c.InOrStdin(), file)
	if err != nil {
		return fmt.Errorf("reading the CIB: %w", err)
	}
	result, err := pacemaker.Import(cib, options)
	if err != nil {
		return fmt.Errorf("importing %s: %w", file, err)
	}
	switch {
	case o.report && o.output == pacemaker.JSON:
		return result.Report.WriteJSON(c.OutOrStdout())
	case o.report:
		return result.Report.Write(c.OutOrStdout())
	}
	if err := result.Write(c.OutOrStdout(), o.output); err != nil {
		return err
	}
	return result.Report.Write(c.ErrOrStderr())
}

func readFileOrInput(in io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

// nodeAddresses reads NODE=ADDRESS/LENGTH.
func nodeAddresses(list []string) (map[string][]netip.Prefix, error) {
	addresses := map[string][]netip.Prefix{}
	for _, text := range list {
		node, value, ok := strings.Cut(text, "=")
		prefix, err := netip.ParsePrefix(value)
		if !ok || node == "" || err != nil {
			return nil, fmt.Errorf("flag --address: %q is not NODE=ADDRESS/LENGTH, such as alpha=10.20.0.11/24", text)
		}
		addresses[node] = append(addresses[node], prefix)
	}
	return addresses, nil
}
