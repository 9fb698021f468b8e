// Command kubectl-quorate is the operator's command line. On the PATH it is `kubectl quorate`; under the name quoratectl it stands
// alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/version"
	"github.com/quorate/quorate/pkg/whatif"
)

// Exit codes of commands that look for something.
const (
	exitFound  = 1 // something is wrong with the cluster
	exitFailed = 2 // it could not be told
)

// Tests let the clock stand still, and read what is told of mistakes.
var (
	clock            = time.Now
	stderr io.Writer = os.Stderr
)

// errFound says that a command has found, and told, what it looks for.
var errFound = errors.New("violations were found")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(filepath.Base(os.Args[0])).ExecuteContext(ctx)
	stop()
	os.Exit(exitCode(err))
}

// exitCode writes an error, and returns the exit code that it means.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return exitFound
	}
	if outcome, ok := errors.AsType[errOutcome](err); ok {
		return int(outcome)
	}
	_, _ = fmt.Fprintln(stderr, "quorate:", err) // there is nowhere else to tell it
	if _, bad := errors.AsType[errInput](err); bad {
		return whatif.ExitBadInput
	}
	return exitFailed
}

// command is the whole command line, under the name that it was called by.
func command(name string) *cobra.Command {
	display := "kubectl quorate"
	if name == "quoratectl" {
		display = name
	}
	access := &access{}
	root := &cobra.Command{
		Use:         name,
		Short:       "Look at and steer Quorate clusters",
		Version:     version.Version,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: display},
		// A mistake is told in one sentence; --help tells the rest.
		SilenceUsage: true, SilenceErrors: true,
	}
	access.add(root.PersistentFlags())
	root.AddGroup(&cobra.Group{ID: "look", Title: "Look:"}, &cobra.Group{ID: "change", Title: "Change:"})
	root.AddCommand(auditCommand(access), explainCommand(access), simulateCommand(access), importCommand(access), ocfCommand(), failCommand(access))
	_ = root.RegisterFlagCompletionFunc("cluster", access.completeClusters) // fails for a flag that is not there
	return root
}
