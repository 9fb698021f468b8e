package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/test/lab"
)

func hostCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "host", Short: "Cut a host's power, switch it on, freeze and thaw it"}
	kill := f.simple("kill HOST", "Cut the power: disks, links and processes are gone at once", cobra.ExactArgs(1),
		func(c *cobra.Command, l *lab.Lab, args []string) error {
			report, err := l.Kill(c.Context(), args[0])
			if err != nil {
				return err
			}
			return f.print(c.OutOrStdout(), report, func(w io.Writer) {
				fmt.Fprintf(w, "%s lost power at %s: disks after %s, links after %s, dead after %s\n", report.Host,
					report.Cut.Wall.Format("15:04:05.000"), round(report.DisksCut), round(report.LinksCut), round(report.Dead))
			})
		})
	f.addOutput(kill)
	c.AddCommand(kill,
		f.onHost("start HOST", "Switch a killed host on: a new boot, its own disk as it was", (*lab.Lab).Start),
		f.onHost("freeze HOST", "Stop every process of a host; its kernel goes on", (*lab.Lab).Freeze),
		f.onHost("thaw HOST", "Let a frozen host go on", (*lab.Lab).Thaw))
	return c
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// onHost makes a command that does one thing to one host.
func (f *flags) onHost(use, short string, do func(*lab.Lab, context.Context, string) error) *cobra.Command {
	return f.simple(use, short, cobra.ExactArgs(1), func(c *cobra.Command, l *lab.Lab, args []string) error {
		return do(l, c.Context(), args[0])
	})
}

func processCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "process", Short: "Stop, start or kill the agent or manager of a host, or its etcd or kube-apiserver"}
	for _, op := range []struct {
		verb, short string
		do          func(*lab.Lab, context.Context, string, string) error
	}{
		{"kill", "Kill a process with SIGKILL; it is started again after 100 ms", (*lab.Lab).KillProcess},
		{"stop", "Stop a process with SIGTERM; it stays down", (*lab.Lab).StopProcess},
		{"start", "Start a process that was stopped", (*lab.Lab).StartProcess},
	} {
		c.AddCommand(f.simple(op.verb+" HOST PROCESS", op.short, cobra.ExactArgs(2),
			func(c *cobra.Command, l *lab.Lab, args []string) error {
				return op.do(l, c.Context(), args[0], args[1])
			}))
	}
	return c
}

func netCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "net", Short: "Cut, degrade and heal links between hosts",
		Long: `Cut, degrade and heal links between hosts. B is another host, api, client, or all: all other hosts but the client, and with
--network all the host of the API server too, if it has one of its own.`,
	}
	for _, op := range []struct{ verb, short, loss string }{
		{"cut", "Drop every packet between A and B", "100%"},
		{"degrade", "Lose some of the packets between A and B", "30%"},
		{"heal", "Make the links between A and B whole again; without A, all links", "0%"},
	} {
		c.AddCommand(f.netOperation(op.verb, op.short, op.loss))
	}
	c.AddCommand(f.simple("split A[,B...] C[,D...]", "Cut every internal network between two sides; all keep disks, clients and API", cobra.ExactArgs(2),
		func(c *cobra.Command, l *lab.Lab, args []string) error {
			return l.SplitHosts(c.Context(), strings.Split(args[0], ","), strings.Split(args[1], ","))
		}))
	for _, op := range []struct {
		verb, short string
		out         bool
	}{
		{"pull", "Pull a host's cable to a network: its interface has no carrier", true},
		{"plug", "Plug a pulled cable in again", false},
	} {
		c.AddCommand(f.simple(op.verb+" HOST NETWORK", op.short, cobra.ExactArgs(2), func(c *cobra.Command, l *lab.Lab, args []string) error {
			return l.CableOut(c.Context(), args[0], args[1], op.out)
		}))
	}
	return c
}

func (f *flags) netOperation(verb, short, loss string) *cobra.Command {
	var link lab.Link
	args := cobra.RangeArgs(1, 2)
	if verb == "heal" {
		args = cobra.MaximumNArgs(2)
	}
	c := f.simple(verb+" A [B|all]", short, args, func(c *cobra.Command, l *lab.Lab, args []string) error {
		if len(args) == 0 {
			return l.HealAll(c.Context())
		}
		permille, err := parseLoss(loss)
		if err != nil {
			return err
		}
		link.A, link.B = args[0], "all"
		if len(args) == 2 {
			link.B = args[1]
		}
		return l.Degrade(c.Context(), link, permille)
	})
	c.Flags().StringVar(&link.Network, "network", "all-internal", "hb, lan, mgmt, all-internal (hb and lan) or all")
	_ = c.RegisterFlagCompletionFunc("network", cobra.FixedCompletions(
		[]string{"hb", "lan", "mgmt", "all-internal", "all"}, cobra.ShellCompDirectiveNoFileComp))
	c.Flags().BoolVar(&link.OneWay, "one-way", false, "only packets from A to B")
	if verb != "heal" {
		c.Flags().StringVar(&loss, "loss", loss, "how many packets are lost")
	}
	return c
}

// parseLoss reads a percentage, with or without its sign, as thousandths.
func parseLoss(text string) (int, error) {
	percent, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || percent < 0 || percent > 100 {
		return 0, fmt.Errorf("--loss %q: use 0%% to 100%%", text)
	}
	return int(percent*10 + 0.5), nil
}

func diskCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "disk", Short: "Make a host's paths to the shared disks fail, hang and heal"}
	for _, op := range []struct {
		verb, short string
		do          func(*lab.Lab, context.Context, string, int) error
	}{
		{"fail", "The path answers EIO", (*lab.Lab).DiskFail},
		{"hang", "The path answers nothing", (*lab.Lab).DiskHang},
		{"heal", "The path works again", (*lab.Lab).DiskHeal},
	} {
		var disk string
		sub := f.simple(op.verb+" HOST", op.short, cobra.ExactArgs(1), func(c *cobra.Command, l *lab.Lab, args []string) error {
			number, err := parseDisk(disk)
			if err != nil {
				return err
			}
			return op.do(l, c.Context(), args[0], number)
		})
		sub.Flags().StringVar(&disk, "disk", "", "number of the disk, from 1, or witness; all if not given")
		c.AddCommand(sub)
	}
	return c
}

// parseDisk reads which disk is meant; none means all.
func parseDisk(text string) (int, error) {
	switch text {
	case "":
		return 0, nil
	case "witness":
		return lab.WitnessDisk, nil
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		return 0, fmt.Errorf("--disk %q: use a number from 1, or witness", text)
	}
	return number, nil
}

func apiCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "api", Short: "Stop, start, freeze and thaw the API servers, and move etcd's leader"}
	for _, op := range []struct {
		verb, short string
		do          func(*lab.Lab, context.Context) error
	}{
		{"stop", "Stop all API servers and etcds: connections are refused", (*lab.Lab).StopAPI},
		{"start", "Start them again, on hosts that have power, and wait until they are ready", (*lab.Lab).StartAPI},
		{"freeze", "Stop them where they are: requests wait", (*lab.Lab).FreezeAPI},
		{"thaw", "Let them go on", (*lab.Lab).ThawAPI},
	} {
		c.AddCommand(f.simple(op.verb, op.short, cobra.NoArgs, func(c *cobra.Command, l *lab.Lab, _ []string) error {
			return op.do(l, c.Context())
		}))
	}
	c.AddCommand(f.onHost("lead HOST", "Make the etcd member of a host the leader (up --api-on-hosts 3)", (*lab.Lab).LeadEtcd))
	return c
}
