// Command quorate-lab makes simulated hosts on one machine and breaks them. See docs/lab.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/quorate/quorate/test/auditor"
	"github.com/quorate/quorate/test/bench"
	"github.com/quorate/quorate/test/demo"
	"github.com/quorate/quorate/test/lab/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := cli.New()
	root.AddCommand(demo.Command(), bench.Command(), auditor.Command())
	os.Exit(cli.Report(os.Stderr, root.ExecuteContext(ctx))) //nolint:gocritic // the process ends here, with or without stop
}
