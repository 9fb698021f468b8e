package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/audit/collect"
	"github.com/quorate/quorate/pkg/audit/report"
)

// auditOptions are the flags of `audit`.
type auditOptions struct {
	*access
	output           string
	length, interval time.Duration
	watch            bool
	addresses, keys  bool
	hostFacts        []string
}

func auditCommand(a *access) *cobra.Command {
	o := &auditOptions{access: a}
	c := &cobra.Command{
		Use:     "audit",
		GroupID: "look",
		Short:   "Check from outside that the cluster keeps its invariants",
		Long: `Looks at the cluster again and again, and says whether any group is online twice, any address answers from two machines, any stale
or foreign key is on a disk, anything is left over where it does not belong, epochs have fallen, two nodes claim quorum against
each other, or a group is not online though it could be. What is in motion is given time: a finding has lasted.

By default only the API is asked. Run it on a host of the clients' network with --addresses, and as root on a host that sees the
disks with --keys. What is really on a host, that host tells: ` + "`quorate-agent audit --local -o json`" + `, given with --host-facts.

Exit code 0: nothing found (notices aside); 1: a violation; 2: it could not be told.`,
		Example: `  kubectl quorate audit --for 1m
  kubectl quorate audit --watch --addresses
  ssh node-a quorate-agent audit --local -o json > node-a.json; kubectl quorate audit --host-facts node-a.json -o yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	f := c.Flags()
	f.StringVarP(&o.output, "output", "o", "table", "table, json or yaml")
	f.DurationVar(&o.length, "for", 30*time.Second, "how long to look")
	f.BoolVar(&o.watch, "watch", false, "look until interrupted, and tell each finding at once")
	f.DurationVar(&o.interval, "interval", time.Second, "time between looks")
	f.BoolVar(&o.addresses, "addresses", false, "ask this host's networks who answers for the groups' addresses (needs root)")
	f.BoolVar(&o.keys, "keys", false, "read the reservation keys of the groups' disks from this host (needs root)")
	f.StringArrayVar(&o.hostFacts, "host-facts", nil, "file with the facts of a host, read anew at each look (repeat)")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(report.Formats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (o *auditOptions) run(c *cobra.Command) error {
	if err := report.CheckFormat(o.output); err != nil {
		return err
	}
	if o.interval < 100*time.Millisecond || o.length < 0 {
		return fmt.Errorf("flags --interval %s and --for %s: the interval must be at least 100ms, the length not negative", o.interval, o.length)
	}
	collectors, err := o.collectors(c.Context())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	if !o.watch {
		ctx, cancel = context.WithTimeout(c.Context(), o.length)
		defer cancel()
	}
	auditor := audit.New(audit.Options{})
	out := c.OutOrStdout()
	var failed error
	collect.Run(ctx, collectors, auditor, o.interval, func(_ *audit.Look, fresh []audit.Finding) {
		if o.watch {
			failed = errors.Join(failed, report.Findings(out, fresh, o.output))
		}
	})
	verdict := auditor.Verdict()
	if failed == nil && (!o.watch || o.output == report.Table) {
		failed = report.Verdict(out, verdict, o.output)
	}
	switch {
	case failed != nil:
		return failed
	case verdict.Violations() > 0:
		return errFound
	case verdict.Seen[audit.SourceAPI] == 0:
		return fmt.Errorf("the API server did not answer: %s", firstUnseen(verdict))
	}
	return nil
}

func firstUnseen(v *audit.Verdict) string {
	for _, u := range v.Unseen {
		return u.Message
	}
	return "the time was too short for a look"
}

func (o *auditOptions) collectors(ctx context.Context) (*collect.Collectors, error) {
	api, err := o.client()
	if err != nil {
		return nil, err
	}
	name, err := o.clusterName(ctx, api)
	if err != nil {
		return nil, err
	}
	c := &collect.Collectors{API: &collect.API{Client: api, Cluster: name}}
	here, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("reading this host's name: %w", err)
	}
	if o.addresses {
		c.Addresses = (&collect.Addresses{From: here}).Ask
	}
	if o.keys {
		c.Disks = (&collect.Disks{From: here}).Read
	}
	if len(o.hostFacts) > 0 {
		c.Hosts = collect.HostFiles(o.hostFacts)
	}
	return c, nil
}
