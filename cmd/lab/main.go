// Command quorate-lab makes simulated hosts on one machine and breaks them. See docs/lab.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/quorate/quorate/test/lab/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := cli.New().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "quorate-lab:", err)
	}
	os.Exit(cli.ExitCode(err)) //nolint:gocritic // the process ends here, with or without stop
}
