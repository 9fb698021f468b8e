// Command quorate-lab makes simulated hosts on one machine and breaks them. See docs/lab.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/quorate/quorate/test/lab/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Report(os.Stderr, cli.New().ExecuteContext(ctx))) //nolint:gocritic // the process ends here, with or without stop
}
