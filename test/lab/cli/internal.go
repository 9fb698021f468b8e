package cli

import (
	"context"
	"encoding/json"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/lab/daemon"
	"github.com/quorate/quorate/test/lab/host"
	"github.com/quorate/quorate/test/lab/keeper"
	"github.com/quorate/quorate/test/lab/probe"
)

// internalCommands are those that the lab starts itself in.
func internalCommands() []*cobra.Command {
	return []*cobra.Command{
		{
			Use: keeper.Command + " NAME", Short: "Keep a lab", Hidden: true, Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return keeper.Main(args[0]) },
		},
		{
			Use: daemon.Command + " NAME", Short: "Be a lab", Hidden: true, Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return daemon.Main(args[0]) },
		},
		{
			Use: host.InitCommand, Short: "Be the first process of a host", Hidden: true, Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return host.Main() },
		},
		internalProbe(),
	}
}

// internalProbe probes from where it runs and tells events as lines of JSON. It ends with its standard input.
func internalProbe() *cobra.Command {
	var o lab.ProbeOptions
	c := &cobra.Command{
		Use: probe.Command + " URL", Short: "Probe from here", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.URL = args[0]
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				cancel()
			}()
			out := json.NewEncoder(os.Stdout)
			return probe.Run(ctx, o, func(e probe.Event) { _ = out.Encode(e) }) // a reader that has gone ends stdin too
		},
	}
	probeFlags(c, &o)
	return c
}
