package demo

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/test/lab"
)

// Command is `quorate-lab demo`.
func Command() *cobra.Command {
	options := Options{Up: lab.Options{BinDir: os.Getenv("QUORATE_BIN")}}
	command := &cobra.Command{
		Use:   "demo",
		Short: "Watch a group survive the death of its host, step by step",
		Long: "Act one starts a lab of three hosts, applies the samples, cuts power, networks and the API server. Act two does it with two\n" +
			"hosts and a disk witness: a split in the middle, then a power cut. Act three has the control plane on the hosts: the busiest\n" +
			"one dies, then all API servers are gone and hosts die all the same. After each step it checks that what should happen did\n" +
			"happen, and the live audit looks on from outside. Exits non-zero at the first thing that does not hold.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			options.Out = c.OutOrStdout()
			if options.Up.BinDir == "" {
				self, err := os.Executable()
				if err != nil {
					return fmt.Errorf("finding the binaries: %w", err)
				}
				options.Up.BinDir = filepath.Dir(self)
			}
			if options.Assets == "" {
				options.Assets = filepath.Join(options.Up.BinDir, "controlplane")
			}
			c.SilenceUsage = true
			return Run(c.Context(), options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.Name, "name", "demo", "name of the lab")
	flags.StringVar(&options.Samples, "samples", "config/samples", "directory that holds the samples of the acts")
	flags.IntSliceVar(&options.Acts, "acts", []int{1, 2, 3}, "which acts to play")
	flags.StringVar(&options.Assets, "assets", os.Getenv("KUBEBUILDER_ASSETS"), "directory of kubectl, etcd and kube-apiserver")
	flags.BoolVar(&options.Keep, "keep", false, "leave the lab running at the end, and tell how to look around")
	return command
}
