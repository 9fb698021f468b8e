// Command quorate-agent is Quorate on a host: it heartbeats with its peers, holds leases and reservations, and runs the resource
// groups that are assigned to its node.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quorate-agent:", err)
		os.Exit(exitCode(err))
	}
}

// exitCode tells what was found wrong or refused (1) from what could not be told, or is not done in time (2).
func exitCode(err error) int {
	var blind *blindError
	if errors.As(err, &blind) {
		return 2
	}
	return 1
}

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "quorate-agent",
		Short:         "Run resource groups on this host",
		Version:       version.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(runCommand(), guardianCommand(), monitorCommand(), statusCommand(), quorumCommand(), fenceCommand(), diskCommand(), auditCommand(), versionCommand())
	cmd.AddCommand(clusterCommands()...)
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version.Version)
			return err
		},
	}
}
