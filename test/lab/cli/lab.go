package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/lab/protocol"
)

func upCommand(f *flags) *cobra.Command {
	var o lab.Options
	c := &cobra.Command{
		Use:   "up",
		Short: "Start a lab and wait until it is up",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Name = f.name
			out := c.OutOrStdout()
			l, err := lab.Up(c.Context(), o, func(p lab.Progress) {
				fmt.Fprintf(out, "%6.2fs  %s\n", p.Elapsed.Seconds(), p.Message)
			})
			if err != nil {
				return err
			}
			if !o.NoControlPlane {
				fmt.Fprintf(out, "         export KUBECONFIG=%s\n", l.Kubeconfig())
			}
			return nil
		},
	}
	fs := c.Flags()
	fs.IntVar(&o.Hosts, "hosts", 3, "how many hosts: node-a, node-b, ... (1 to 26)")
	fs.IntVar(&o.APIOnHosts, "api-on-hosts", 0, "1 or 3: run an API server and etcd on the first hosts, which die with them (0: on a host of their own)")
	fs.IntVar(&o.Managers, "managers", 0, "how many of the first hosts run a manager (-1 for none; 0: 2, or as many as --api-on-hosts)")
	fs.StringVar(&o.Manifests, "manifests", "", "file or directory that the operator applies at the end")
	fs.StringVar(&o.BinDir, "bin-dir", "", "directory of the binaries (default $QUORATE_BIN, else bin of the checkout)")
	fs.StringVar(&o.ControlPlane, "controlplane-dir", "", "directory of etcd, kube-apiserver, kubectl (default $KUBEBUILDER_ASSETS, else bin/controlplane)")
	fs.StringVar(&o.ConfigDir, "config-dir", "", "directory with the kustomization api (default $QUORATE_CONFIG, else config)")
	fs.StringVar(&o.Cluster, "cluster", "demo", "name of the cluster that agents belong to")
	fs.IntVar(&o.Disks, "disks", 8, "how many shared disks: /array/disk-1.img, ...")
	fs.Func("disk-size", "size of each shared disk, such as 512Mi (default 64Mi)", func(text string) error {
		size, err := resource.ParseQuantity(text)
		if err != nil || size.Value() < 1<<20 {
			return fmt.Errorf("%q is no size of at least 1Mi, such as 512Mi", text)
		}
		o.DiskSize = size.Value()
		return nil
	})
	fs.StringArrayVar(&o.AgentArgs, "agent-arg", nil, "additional argument of every agent (repeat)")
	fs.StringArrayVar(&o.ManagerArgs, "manager-arg", nil, "additional argument of every manager (repeat)")
	fs.BoolVar(&o.NoAgents, "no-agents", false, "hosts without agents and managers")
	fs.BoolVar(&o.NoControlPlane, "no-api", false, "no API server, and so no agents")
	return c
}

func downCommand(f *flags) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "down",
		Short: "End a lab and remove all of it; one that crashed too",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			names := []string{f.name}
			if all {
				var err error
				if names, err = protocol.Labs(); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(c.Context(), 15*time.Second)
			defer cancel()
			for _, name := range names {
				if err := lab.Down(ctx, name); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "end every lab on this machine")
	return c
}

func listCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the labs on this machine",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			names, err := protocol.Labs()
			if err != nil {
				return err
			}
			return f.print(c.OutOrStdout(), names, func(w io.Writer) {
				for _, name := range names {
					fmt.Fprintln(w, name)
				}
			})
		},
	}
	f.addOutput(c)
	return c
}

func statusCommand(f *flags) *cobra.Command {
	c := f.simple("status", "Show hosts, processes, network faults, disks and the API server", cobra.NoArgs,
		func(c *cobra.Command, l *lab.Lab, _ []string) error {
			s, err := l.Status(c.Context())
			if err == nil {
				s.Servers, err = l.APIServers(c.Context())
			}
			if err != nil {
				return err
			}
			return f.print(c.OutOrStdout(), s, func(w io.Writer) { printStatus(w, s) })
		})
	f.addOutput(c)
	return c
}

func printStatus(out io.Writer, s *lab.Status) {
	api := fmt.Sprintf("API server %s %s", s.API, s.Server)
	if s.APIOnHosts > 0 {
		api = fmt.Sprintf("API servers %s, %s", s.API, serversReady(s.Servers))
	}
	fmt.Fprintf(out, "lab %s, up since %s, %s\n\n", s.Name, s.Started.Format(time.TimeOnly), api)
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "HOST\tSTATE\tBOOTS\tPROCESSES\tPATHS\tADDRESSES")
	for _, h := range s.Hosts {
		var processes, paths []string
		for _, p := range h.Processes {
			text := fmt.Sprintf("%s(%d)", p.Name, p.PID)
			if p.PID == 0 {
				text = p.Name + "(down)"
			}
			if p.Starts > 1 {
				text += fmt.Sprintf("x%d", p.Starts)
			}
			processes = append(processes, text)
		}
		for n, path := range h.Paths {
			if path != "ok" {
				paths = append(paths, fmt.Sprintf("%s:%s", diskLabel(s, n), path))
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", h.Name, h.State, h.Boots,
			dash(processes), dash(paths), strings.Join(h.Addresses, " "))
	}
	if s.APIOnHosts > 0 {
		fmt.Fprintln(w, "\nAPI SERVER ON\tREADY\tETCD\tURL\tPROBLEM")
		for _, server := range s.Servers {
			role := "-"
			if server.LeadsEtcd {
				role = "leader"
			}
			fmt.Fprintf(w, "%s\t%t\t%s\t%s\t%s\n", server.Host, server.Ready, role, server.Server, dash([]string{server.Problem}))
		}
	}
	fmt.Fprintln(w, "\nDISK\tREGISTERED\tHOLDER\tTYPE\tFILE")
	for _, d := range s.Disks {
		var registered []string
		for _, k := range d.Reservation.Keys {
			registered = append(registered, fmt.Sprintf("0x%x", uint64(k)))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", diskName(d.Number), dash(registered), dash([]string{d.Reservation.Holder}), d.Reservation.Type, d.File)
	}
	_ = w.Flush() // the terminal has gone
	if len(s.Faults)+len(s.Pulled) > 0 {
		fmt.Fprintln(out, "\nFAULTS")
	}
	for _, fault := range s.Faults {
		fmt.Fprintf(out, "%s -> %s on %s: %.1f%% lost\n", fault.From, fault.To, fault.Network, float64(fault.LossPermille)/10)
	}
	for _, cable := range s.Pulled {
		fmt.Fprintf(out, "%s: the cable to %s is pulled\n", cable.Host, cable.Network)
	}
}

// serversReady tells how many API servers serve.
func serversReady(all []lab.APIServerStatus) string {
	ready := 0
	for _, s := range all {
		if s.Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d of %d ready", ready, len(all))
}

// diskLabel names the n-th path of a host, from 0.
func diskLabel(s *lab.Status, n int) string {
	if n < len(s.Disks) {
		return diskName(s.Disks[n].Number)
	}
	return strconv.Itoa(n + 1)
}

func diskName(number int) string {
	if number == lab.WitnessDisk {
		return "witness"
	}
	return strconv.Itoa(number)
}

func dash(parts []string) string {
	text := strings.Join(parts, " ")
	if text == "" {
		return "-"
	}
	return text
}
