// Command quorate-vm runs programs and tests in the emulated guest. See docs/testing-in-the-guest.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/test/vm/guest"
	"github.com/quorate/quorate/test/vm/machine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command().ExecuteContext(ctx)
	var exit exitError
	if errors.As(err, &exit) {
		os.Exit(int(exit)) //nolint:gocritic // the process ends here, with or without stop
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quorate-vm:", err)
		os.Exit(1)
	}
}

// exitError is the exit code of a program of the guest, to be passed on.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// flags are those of every command.
type flags struct {
	dir   string
	limit time.Duration
}

func command() *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:   "quorate-vm",
		Short: "An emulated Linux with real SCSI and NVMe reservations, device mapper, NFS and watchdogs",
		Example: `  quorate-vm shell
  quorate-vm test ./pkg/reservation ./test/vm/...
  quorate-vm run ./my-static-program --its-flag`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&f.dir, "guest", "", "folder of the guest that make vm built (default: vm beside this binary)")
	root.PersistentFlags().DurationVar(&f.limit, "limit", 10*time.Minute, "kill the guest after this time")
	root.AddCommand(f.shell(), f.run(), f.test())
	return root
}

// find is where the guest is.
func (f *flags) find() (string, error) {
	if f.dir != "" {
		return machine.Find(filepath.Dir(filepath.Clean(f.dir)))
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return machine.Find(filepath.Dir(self))
}

func (f *flags) shell() *cobra.Command {
	return &cobra.Command{
		Use: "shell", Short: "Give a shell in the guest (leave it with exit)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := f.find()
			if err != nil {
				return err
			}
			return machine.Shell(cmd.Context(), dir)
		},
	}
}

func (f *flags) run() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run PROGRAM [ARGUMENTS]", Short: "Run a static program in the guest; its exit code becomes this command's", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := f.find()
			if err != nil {
				return err
			}
			return f.start(cmd.Context(), machine.Spec{
				Dir: dir, Files: map[string]string{"program": args[0]}, Script: invocation("program", args[1:]), Output: os.Stdout,
			})
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// start runs the guest to its end.
func (f *flags) start(ctx context.Context, spec machine.Spec) error {
	spec.Limit = f.limit
	result, err := machine.Run(ctx, spec)
	if err != nil {
		return err
	}
	if result.End == machine.Exited && result.Code != 0 {
		return exitError(result.Code)
	}
	return result.Err()
}

// invocation is the shell script that runs a program of the payload.
func invocation(program string, args []string) string {
	script := "export " + guest.Marker + "=1 " + guest.Full + "=" + machine.Quote(os.Getenv(guest.Full)) + "\nexec ./" + program
	for _, arg := range args {
		script += " " + machine.Quote(arg)
	}
	return script
}
