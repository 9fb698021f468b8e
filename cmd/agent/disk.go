package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/nodeagent"
)

// diskCommand holds the verbs about disks that are asked of the agent of this host.
func diskCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "disk", Short: "Ask the agent of this host about shared disks"}
	cmd.AddCommand(clearForeignCommand())
	return cmd
}

func clearForeignCommand() *cobra.Command {
	client, request := &localapi.Client{}, nodeagent.ClearForeign{}
	cmd := &cobra.Command{
		Use:   "clear-foreign-reservation --resource NAMESPACE/NAME --keys KEY[,KEY...] --reason TEXT",
		Short: "Remove the reservation keys of another cluster or program from a disk",
		Long: "Remove reservation keys that are not this cluster's from the disk of a Resource, which has to be offline everywhere. Whoever " +
			"still uses the disk under these keys can no longer write to it. All foreign keys on the disk must be named, as the Resource's " +
			"message or sg_persist shows them; if there is another one, nothing is done. It is kept in the log, in the Resource's status, and " +
			"as an Event.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done := &v1alpha1.AgentClearing{}
			if err := client.Call(cmd.Context(), nodeagent.OpClearForeign, request, done); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s/%s: %s\n", done.Namespace, done.Name, done.Message)
			return err
		},
	}
	addRunDir(cmd, client)
	flags := cmd.Flags()
	flags.StringVar(&request.Resource, "resource", "", "namespace and name of the disk's Resource")
	flags.StringVar(&request.Keys, "keys", "", "all foreign keys on the disk, such as 0x1a2b, with commas between them")
	flags.StringVar(&request.Reason, "reason", "", "how it is known that the owner of the keys is gone")
	for _, name := range []string{"resource", "keys", "reason"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // a flag that was not defined above
		}
	}
	return cmd
}
