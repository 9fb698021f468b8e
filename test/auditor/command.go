package auditor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/audit/report"
	"github.com/quorate/quorate/test/lab"
)

// Command is `quorate-lab audit`.
func Command() *cobra.Command {
	var (
		name, output string
		length       time.Duration
		options      Options
	)
	c := &cobra.Command{
		Use:   "audit [--for TIME | --beside -- COMMAND [ARGUMENT...]]",
		Short: "Check from outside that the lab's cluster keeps its invariants, with every collector",
		Long: "Runs beside a lab, or beside another command, and looks at the API, at what is really on every host, at the array's keys, and at\n" +
			"who answers the client for an address. Exits with 1 at a violation, and with 2 when it could not look.",
		Example: "  quorate-lab audit --for 30s\n  quorate-lab audit --beside -- sh -c 'quorate-lab host kill node-a; sleep 10'",
		RunE: func(c *cobra.Command, args []string) error {
			beside, err := c.Flags().GetBool("beside")
			if err == nil {
				err = errors.Join(report.CheckFormat(output), checkArguments(beside, args))
			}
			if err != nil {
				return err
			}
			c.SilenceUsage = true
			l, err := lab.Attach(c.Context(), name)
			if err != nil {
				return &blindError{err}
			}
			if output == report.Table {
				options.Tell = func(f audit.Finding) { _ = report.Findings(c.ErrOrStderr(), []audit.Finding{f}, output) }
			}
			b, err := Start(context.WithoutCancel(c.Context()), l, options)
			if err != nil {
				return &blindError{err}
			}
			runErr := wait(c.Context(), length, args)
			return errors.Join(runErr, conclude(c, b.Stop(), output))
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "name of the lab")
	f.StringVar(&options.Cluster, "cluster", "demo", "name of the Cluster")
	f.DurationVar(&length, "for", 30*time.Second, "how long to look")
	f.Bool("beside", false, "run the command that follows, and look until it ends")
	f.DurationVar(&options.Interval, "interval", 500*time.Millisecond, "time between looks")
	f.StringVarP(&output, "output", "o", report.Table, "table, json or yaml")
	f.SetInterspersed(false)
	return c
}

func checkArguments(beside bool, args []string) error {
	switch {
	case beside && len(args) == 0:
		return errors.New("--beside needs a command to run: quorate-lab audit --beside -- COMMAND")
	case !beside && len(args) > 0:
		return fmt.Errorf("%q is not expected: to look beside a command, say --beside", args[0])
	}
	return nil
}

// wait runs the command, or waits for the time; an interrupt ends both.
func wait(ctx context.Context, length time.Duration, args []string) error {
	if len(args) == 0 {
		select {
		case <-ctx.Done():
		case <-time.After(length):
		}
		return nil
	}
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// ErrViolations says that the audit has found, and told, violations.
var ErrViolations = errors.New("the audit found violations")

// blindError says that the audit could not look.
type blindError struct{ error }

// Unwrap is why.
func (e *blindError) Unwrap() error { return e.error }

// ExitCode is that of a command that could not look.
func (e *blindError) ExitCode() int { return 2 }

func conclude(c *cobra.Command, v *audit.Verdict, output string) error {
	if err := report.Verdict(c.OutOrStdout(), v, output); err != nil {
		return err
	}
	switch {
	case v.Violations() > 0:
		return ErrViolations
	case v.Seen[audit.SourceAPI] == 0 && v.Seen[audit.SourceHosts] == 0:
		return &blindError{errors.New("the audit saw nothing")}
	}
	return nil
}
