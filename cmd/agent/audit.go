package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/audit/collect"
	"github.com/quorate/quorate/pkg/audit/report"
	"github.com/quorate/quorate/pkg/nodeagent"
)

// errViolations says that the audit has found, and told, violations.
var errViolations = errors.New("violations were found")

// blindError says that it could not be told: an audit could not look, a request is not done in time.
type blindError struct{ error }

func (e *blindError) Unwrap() error { return e.error }

// localAudit are the flags of `audit`.
type localAudit struct {
	hostFlags
	node, output string
	local        bool
	length       time.Duration
}

func auditCommand() *cobra.Command {
	o := &localAudit{}
	cmd := &cobra.Command{
		Use:   "audit --local",
		Short: "Check what is really on this host against what its agent says runs here",
		Long: "Looks at the mounts, addresses, processes and exports of this host, without asking its agent, and says what runs here that the " +
			"run state knows nothing of, and what still runs past the self-fence deadline of a lease that has ended. With -o json the facts " +
			"are written too: `kubectl quorate audit --host-facts` compares them with the whole cluster.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !o.local {
				return errors.New("flag --local is needed: from a host only this host can be looked at; for the cluster use kubectl quorate audit")
			}
			err := o.run(cmd.Context(), cmd.OutOrStdout())
			if err != nil && !errors.Is(err, errViolations) {
				return &blindError{err}
			}
			return err
		},
	}
	o.add(cmd.Flags())
	cmd.Flags().BoolVar(&o.local, "local", false, "look at this host")
	cmd.Flags().StringVar(&o.node, "node", "", "name of this host's Node (default: the agent's last word, else the host name)")
	cmd.Flags().StringVarP(&o.output, "output", "o", report.Table, "table, json or yaml")
	cmd.Flags().DurationVar(&o.length, "for", 6*time.Second, "how long to look: what is being cleaned up needs a few seconds")
	return cmd
}

func (o *localAudit) run(ctx context.Context, out io.Writer) error {
	if err := report.CheckFormat(o.output); err != nil {
		return err
	}
	node, err := o.nodeName()
	if err != nil {
		return err
	}
	options := collect.HostOptions{Node: node, RunDir: o.runDir, CgroupRoot: o.cgroupRoot}
	facts, err := collect.Host(ctx, options)
	if err != nil {
		return err
	}
	collectors := &collect.Collectors{Hosts: func(ctx context.Context) ([]audit.Host, []audit.Unseen) {
		h, err := collect.Host(ctx, options)
		if err != nil {
			return nil, []audit.Unseen{{Source: audit.SourceHosts, Object: node, Message: err.Error()}}
		}
		facts = h
		return []audit.Host{h}, nil
	}}
	limited, cancel := context.WithTimeout(ctx, o.length)
	defer cancel()
	auditor := audit.New(audit.Options{})
	collect.Run(limited, collectors, auditor, 500*time.Millisecond, func(*audit.Look, []audit.Finding) {})
	verdict := auditor.Verdict()
	if o.output == report.Table {
		err = report.Verdict(out, verdict, o.output)
	} else {
		err = report.Value(out, collect.LocalReport{Host: facts, Verdict: verdict}, o.output)
	}
	if err == nil && verdict.Violations() > 0 {
		return errViolations
	}
	return err
}

// nodeName is the name that the facts go by.
func (o *localAudit) nodeName() (string, error) {
	if o.node != "" {
		return o.node, nil
	}
	if status, err := nodeagent.ReadLocalStatus(o.runDir); err == nil && status.Node != "" {
		return status.Node, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("flag --node is not set, and this host's name cannot be read: %w", err)
	}
	return name, nil
}
