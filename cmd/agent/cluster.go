package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/explain"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/nodeagent"
	"github.com/quorate/quorate/pkg/replica"
)

// withoutAPI is what the commands that steer the cluster from a host have in common.
const withoutAPI = `
It works on any host of a quorate view while no member of it reaches an API server and Cluster.spec.autonomy is Enabled: the view's
coordinator writes it down on the disks of all members, with who asked, and decides what follows by the same policy as ever. When an API
server is back it is written there too; where somebody has changed the same field meanwhile, that stands, and an Event says so. While an API
server is reached nothing is done, and the command says what to use instead.

Exit code 0: it is done, or taken with --wait=false; 1: it was refused or cannot be done, the message says why; 2: it was taken and is not
done in time, or nobody has answered.`

const (
	// progressPause is how often it is looked how far a request has come.
	progressPause = 200 * time.Millisecond
	// againPause is when an agent that has gone away is asked again.
	againPause = 500 * time.Millisecond
)

// request is a command that asks for something.
type request struct {
	client  localapi.Client
	ask     nodeagent.AskRequest
	output  string
	wait    bool
	timeout time.Duration
}

func (r *request) flags(f *pflag.FlagSet) {
	f.StringVar(&r.client.RunDir, "run-dir", defaultRunDir, "the agent's run directory")
	f.StringVarP(&r.output, "output", "o", "", "json or yaml: write how it ended; empty: tell what happens")
	f.BoolVar(&r.wait, "wait", true, "wait until it is done")
	f.DurationVar(&r.timeout, "timeout", time.Minute, "how long to wait in all")
}

func (r *request) namespace(f *pflag.FlagSet) {
	f.StringVarP(&r.ask.Namespace, "namespace", "n", "", "namespace of the group (default: the only one that has it)")
}

// clusterCommands are those that steer the cluster from a host.
func clusterCommands() []*cobra.Command {
	return []*cobra.Command{
		moveCommand(), desiredCommand(replica.VerbOnline), desiredCommand(replica.VerbOffline), drainCommand(), resumeCommand(), explainCommand(),
	}
}

func moveCommand() *cobra.Command {
	r := &request{ask: nodeagent.AskRequest{Verb: replica.VerbMove}}
	cmd := &cobra.Command{
		Use:     "move rg/NAME NODE|best",
		Short:   "Move a group while the API server is gone",
		Long:    "Moves a group to a node, or to the best one there is, while the API server is gone.\n" + withoutAPI,
		Example: "  quorate-agent move rg/shop node-b\n  quorate-agent move rg/shop best -n demo --timeout 30s",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			r.ask.Target = args[1]
			r.ask.Name, err = explain.ParseGroup(args[0])
			return r.run(cmd, err)
		},
	}
	r.flags(cmd.Flags())
	r.namespace(cmd.Flags())
	return cmd
}

func desiredCommand(verb replica.Verb) *cobra.Command {
	r := &request{ask: nodeagent.AskRequest{Verb: verb}}
	cmd := &cobra.Command{
		Use:   string(verb) + " rg/NAME",
		Short: fmt.Sprintf("Take a group %s while the API server is gone", verb),
		Long:  fmt.Sprintf("Sets a group's desired state, spec.desiredState, to %s while the API server is gone.\n%s", verb, withoutAPI),
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			r.ask.Name, err = explain.ParseGroup(args[0])
			return r.run(cmd, err)
		},
	}
	r.flags(cmd.Flags())
	r.namespace(cmd.Flags())
	return cmd
}

func drainCommand() *cobra.Command {
	r := &request{ask: nodeagent.AskRequest{Verb: replica.VerbDrain}}
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Drain a node while the API server is gone",
		Long: "Moves a node's groups elsewhere and lets it take no more (spec.availability Drained), while the API server is gone. It stays drained\n" +
			"until it is resumed, also when the API server is back. A group that no other node may take stays.\n" + withoutAPI,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.ask.Name = strings.TrimPrefix(args[0], "qnode/")
			return r.run(cmd, nil)
		},
	}
	r.flags(cmd.Flags())
	return cmd
}

func resumeCommand() *cobra.Command {
	r := &request{ask: nodeagent.AskRequest{Verb: replica.VerbResume}}
	cmd := &cobra.Command{
		Use:   "resume NODE",
		Short: "Let a drained node take groups again while the API server is gone",
		Long:  "Sets spec.availability of a node to Available, while the API server is gone.\n" + withoutAPI,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.ask.Name = strings.TrimPrefix(args[0], "qnode/")
			return r.run(cmd, nil)
		},
	}
	r.flags(cmd.Flags())
	cmd.Flags().StringVar(&r.ask.Failback, "failback", "", "what happens to the groups that were drained: None, Immediate or Policy (default: what spec.failbackOnResume says)")
	return cmd
}

// ended is how a request ended, for programs.
type ended struct {
	Entry    *replica.Entry    `json:"entry"`
	Progress autonomy.Progress `json:"progress"`
}

// run asks, and waits for what follows. wrong is what is wrong with the arguments.
func (r *request) run(cmd *cobra.Command, wrong error) error {
	switch {
	case wrong != nil:
		return wrong
	case r.output != "" && r.output != "json" && r.output != "yaml":
		return fmt.Errorf("flag --output: %q is neither json nor yaml", r.output)
	case r.timeout <= 0:
		return fmt.Errorf("flag --timeout: %s is no time to wait", r.timeout)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), r.timeout)
	defer cancel()
	out := cmd.OutOrStdout()
	tell := func(text string) {
		if r.output == "" {
			_, _ = fmt.Fprintln(out, text) // who does not read it misses it
		}
	}
	reply, err := r.taken(ctx)
	if err != nil {
		return err
	}
	tell(taken(reply.Entry))
	progress := autonomy.Progress{Message: "taken"}
	if r.wait {
		progress = r.follow(ctx, reply, tell)
	}
	if r.output != "" {
		if err := show(out, ended{Entry: reply.Entry, Progress: progress}, r.output, nil); err != nil {
			return err
		}
	}
	switch {
	case progress.Failed:
		return errors.New(progress.Message)
	case r.wait && !progress.Done:
		return &blindError{fmt.Errorf("not done within %s: %s%s", r.timeout, progress.Message, r.hint())}
	}
	return nil
}

// hint says where to look for why something is not done.
func (r *request) hint() string {
	if r.ask.Verb.AboutNode() {
		return "; quorate-agent status tells what was decided"
	}
	return fmt.Sprintf("; quorate-agent explain rg/%s tells what it waits for", r.ask.Name)
}

// taken asks until the request is written down. An agent that has gone away meanwhile is asked again: the same request is done once.
func (r *request) taken(ctx context.Context) (*nodeagent.AskReply, error) {
	r.ask.ID = replica.RequestPrefix + strings.ToLower(rand.Text())
	for {
		if deadline, bound := ctx.Deadline(); bound {
			r.ask.Within = metav1.Duration{Duration: max(time.Until(deadline)-againPause, againPause)}
		}
		reply := &nodeagent.AskReply{}
		err := r.client.Call(ctx, nodeagent.OpAsk, &r.ask, reply)
		_, said := errors.AsType[*localapi.Error](err)
		switch {
		case err == nil && reply.Entry != nil:
			return reply, nil
		case err == nil:
			return nil, &blindError{fmt.Errorf("nothing was decided within %s: %s; if the coordinator has heard of it, it may still be done", r.timeout, reply.Unanswered)}
		case said:
			return nil, err
		case errors.Is(err, localapi.ErrNoAgent) && ctx.Err() == nil:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, &blindError{fmt.Errorf("the answer was lost, it may have been done: %w", err)}
		case <-time.After(againPause):
		}
	}
}

// taken tells of an entry.
func taken(e *replica.Entry) string {
	object := "group " + e.Namespace + "/" + e.Name
	if e.Request.Verb.AboutNode() {
		object = "node " + e.Name
	}
	changes := make([]string, 0, len(e.Request.Changes))
	for _, c := range e.Request.Changes {
		changes = append(changes, fmt.Sprintf("%s is %s", c.Field, c.To))
	}
	return fmt.Sprintf("%s: taken, on the disks of all members of the view (%s)", object, strings.Join(changes, ", "))
}

// follow tells how far the request has come until it is done, or will not be, or ctx ends.
func (r *request) follow(ctx context.Context, reply *nodeagent.AskReply, tell func(string)) autonomy.Progress {
	last := autonomy.Progress{Message: "nothing is known of it yet"}
	for {
		now := autonomy.Progress{}
		err := r.client.Call(ctx, nodeagent.OpProgress, reply, &now)
		if err == nil && now != last {
			if last = now; !now.Failed {
				tell(now.Message)
			}
		}
		if last.Done || last.Failed {
			return last
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(progressPause):
		}
	}
}

func explainCommand() *cobra.Command {
	client, ask, node, output := &localapi.Client{}, nodeagent.ExplainRequest{}, "", ""
	cmd := &cobra.Command{
		Use:   "explain rg/NAME",
		Short: "Say of every node why a group is, or is not, or may not be there, while the API server is gone",
		Long: "Shows a group, what it waits for, and the verdict on every node, in the words of kubectl quorate explain. The view's coordinator is\n" +
			"asked, since it has the reports of all members; it answers within two seconds. While an API server is reached nobody on the hosts\n" +
			"decides, and the command says so: use kubectl quorate explain.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if ask.Name, err = explain.ParseGroup(args[0]); err != nil {
				return err
			}
			e := &explain.Explained{}
			if err := client.Call(cmd.Context(), nodeagent.OpExplain, &ask, e); err != nil {
				return err
			}
			if err := e.Only(node); err != nil {
				return fmt.Errorf("flag --node: %w", err)
			}
			return show(cmd.OutOrStdout(), e, output, func(w io.Writer) error { return explain.Write(w, e) })
		},
	}
	addRunDir(cmd, client)
	cmd.Flags().StringVarP(&ask.Namespace, "namespace", "n", "", "namespace of the group (default: the only one that has it)")
	cmd.Flags().StringVar(&node, "node", "", "only this node")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json or yaml; empty: a table")
	return cmd
}
