package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/lab/enter"
)

func kubeconfigCommand(f *flags) *cobra.Command {
	return f.simple("kubeconfig", "Print the path of the operator's kubeconfig", cobra.NoArgs,
		func(c *cobra.Command, l *lab.Lab, _ []string) error {
			fmt.Fprintln(c.OutOrStdout(), l.Kubeconfig())
			return nil
		})
}

func execCommand(f *flags) *cobra.Command {
	c := f.simple("exec HOST -- COMMAND [ARGUMENT...]", "Run a command on a host (also on client and api)", cobra.MinimumNArgs(2),
		func(c *cobra.Command, l *lab.Lab, args []string) error {
			// Flags end at the host, so that the command's own are not taken for ours; the dashes between are for people.
			command := args[1:]
			if command[0] == "--" {
				command = command[1:]
			}
			ctx := c.Context()
			if isTerminal(os.Stdin) {
				// The terminal sends its signals to the command too, which may have other plans than to end.
				ctx = context.WithoutCancel(ctx)
			}
			return l.ExecStreams(ctx, lab.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, args[0], command...)
		})
	c.Flags().SetInterspersed(false)
	return c
}

func isTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

func logsCommand(f *flags) *cobra.Command {
	var process string
	c := f.simple("logs HOST", "Print the log of a host's agent or other process", cobra.ExactArgs(1),
		func(c *cobra.Command, l *lab.Lab, args []string) error {
			file, err := os.Open(l.LogFile(args[0], process))
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = io.Copy(c.OutOrStdout(), file)
			return err
		})
	c.Flags().StringVarP(&process, "process", "p", "agent", "agent, manager, etcd or kube-apiserver")
	return c
}

func probeCommand(f *flags) *cobra.Command {
	var o lab.ProbeOptions
	c := f.simple("probe URL", "Ask a URL from the client host every 5 ms and print each outage", cobra.ExactArgs(1),
		func(c *cobra.Command, l *lab.Lab, args []string) error {
			o.URL = args[0]
			// An interrupted probe still tells what it found, so it outlives the context and is stopped below.
			p, err := l.Probe(context.WithoutCancel(c.Context()), o)
			if err != nil {
				return err
			}
			return f.tellProbe(c, p)
		})
	probeFlags(c, &o)
	f.addOutput(c)
	return c
}

func probeFlags(c *cobra.Command, o *lab.ProbeOptions) {
	c.Flags().DurationVar(&o.Interval, "interval", 5*time.Millisecond, "time between requests; none waits for another")
	c.Flags().DurationVar(&o.Timeout, "timeout", time.Second, "time limit of one request")
	c.Flags().DurationVar(&o.For, "for", 0, "end after this time")
	c.Flags().BoolVar(&o.UntilOutage, "until-outage", false, "end when the first outage has ended")
}

func (f *flags) tellProbe(c *cobra.Command, p *lab.Probe) error {
	out := c.OutOrStdout()
	interrupted := c.Context().Done()
	for events := p.Events(); events != nil; {
		select {
		case e, ok := <-events:
			switch {
			case !ok:
				events = nil
			case f.output != "":
			case e.FirstAnswer:
				fmt.Fprintln(out, "answered; watching")
			case e.Outage != nil:
				printOutage(out, *e.Outage)
			}
		case <-interrupted:
			interrupted = nil
			go p.Stop() // its events tell the end, and it is stopped again below
		}
	}
	report, err := p.Stop()
	if err != nil {
		return err
	}
	return f.print(out, report, func(w io.Writer) {
		for _, o := range report.Outages {
			if !o.Ended {
				printOutage(w, o)
			}
		}
		fmt.Fprintf(w, "%d requests, %d answered, %d failed, %d outages in %s\n", report.Sent, report.Good, report.Failed,
			len(report.Outages), (report.End.Monotonic - report.Begin.Monotonic).Round(time.Millisecond))
	})
}

func printOutage(w io.Writer, o lab.Outage) {
	var errs []string
	for text, count := range o.Errors {
		errs = append(errs, fmt.Sprintf("%d x %s", count, text))
	}
	end := o.End.Wall.Format("15:04:05.000")
	if !o.Ended {
		end = "now"
	}
	fmt.Fprintf(w, "outage %s from %s to %s, %s -> %s, %d requests failed %s\n", o.Length.Round(time.Millisecond),
		o.Start.Wall.Format("15:04:05.000"), end, dash([]string{o.HostBefore}), dash([]string{o.HostAfter}), o.Failed, strings.Join(errs, ", "))
}

// Report writes an error for people and returns the exit code that it means. The bad end of a command on a host is that command's to
// explain.
func Report(w io.Writer, err error) int {
	var exit *enter.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && !exit.NotFound:
		return exit.Code
	}
	fmt.Fprintln(w, "quorate-lab:", err)
	if exit != nil {
		return exit.Code
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}
