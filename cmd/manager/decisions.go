package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/quorate/quorate/pkg/replay"
)

// keeper begins to keep the inputs of decisions, if that is wanted. Decisions never wait for it.
func keeper(ctx context.Context, opts Options) func(*replay.Record) {
	if opts.DecisionsDir == "" {
		return nil
	}
	log := ctrl.Log.WithName("decisions")
	ring := replay.NewRing(opts.DecisionsDir, opts.DecisionsKeep)
	go ring.Run(ctx, func(err error) { log.Error(err, "a decision was not kept", "directory", opts.DecisionsDir) })
	return func(r *replay.Record) {
		if !ring.Put(r) {
			log.Info("a decision was not kept: others are still being written", "time", r.Time)
		}
	}
}

// decisionsCommand shows what a manager has kept. It is run beside it, as with kubectl exec.
func decisionsCommand(opts *Options) *cobra.Command {
	return &cobra.Command{
		Use:   "decisions [NAME]",
		Short: "List the kept inputs of decisions, or write one to standard output",
		Long: `Lists what --decisions-dir keeps, the oldest first. With a name, or latest, the file is written to standard output, for kubectl quorate
explain --replay.`,
		Example: `  kubectl -n quorate-system exec deploy/quorate-manager -- quorate-manager decisions --decisions-dir /decisions
  kubectl -n quorate-system exec deploy/quorate-manager -- quorate-manager decisions --decisions-dir /decisions latest > decision.json.gz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return showDecisions(c.OutOrStdout(), opts.DecisionsDir, args)
		},
	}
}

func showDecisions(out io.Writer, dir string, args []string) error {
	if dir == "" {
		return fmt.Errorf("flag --decisions-dir: name the directory that the manager keeps decisions in")
	}
	names, err := replay.List(dir)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		for _, n := range names {
			if _, err := fmt.Fprintln(out, n); err != nil {
				return err
			}
		}
		return nil
	}
	name := args[0]
	if name == "latest" && len(names) > 0 {
		name = names[len(names)-1]
	}
	if !slices.Contains(names, name) {
		return fmt.Errorf("%s has no decision %q; it has %d", dir, name, len(names))
	}
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("reading a kept decision: %w", err)
	}
	defer func() { _ = file.Close() }() // it is only read
	_, err = io.Copy(out, file)
	return err
}
