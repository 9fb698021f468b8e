package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// failPoll is how often the API is asked what has become of it.
const failPoll = 200 * time.Millisecond

// failOptions are the flags of `fail`.
type failOptions struct {
	*access
	namespace, node string
	wait            bool
	timeout         time.Duration
}

func failCommand(a *access) *cobra.Command {
	o := &failOptions{access: a}
	c := &cobra.Command{
		Use:     "fail res/NAME",
		GroupID: "change",
		Short:   "Have a healthy resource fail, to see what happens",
		Long: `Tells the agent that owns the resource to take it for failed, as if its health check had failed. All that follows is real: the resource
and what depends on it are stopped and restarted, the restart counts, and when the restarts are used up the group fails over. Clients notice.
"kubectl quorate simulate --event resource-fail=NAMESPACE/NAME" tells beforehand what would happen.

The command waits until the resource is online again, and shows what it goes through.

Exit code 0: it is online again (or was asked for, with --wait=false); 1: bad input; 2: it could not be asked for, or is not online in time.`,
		Example: `  kubectl quorate fail res/shop-ip -n demo
  kubectl quorate fail res/web -n demo --node node-b`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.complete,
		RunE:              func(c *cobra.Command, args []string) error { return o.run(c, args[0]) },
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return errInput{err} })
	f := c.Flags()
	f.StringVarP(&o.namespace, "namespace", "n", "default", "namespace of the resource")
	f.StringVar(&o.node, "node", "", "the member that fails, for a group of mode LoadBalanced")
	f.BoolVar(&o.wait, "wait", true, "wait until the resource is online again")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long to wait")
	return c
}

// facts are what the status tells of the resource where it fails.
type facts struct {
	node, state, reason, message string
	epoch                        int64
	restarts                     int32
	since                        time.Time
}

func (f facts) shown() string { return cmp.Or(f.state, "not online") }

func (f facts) online() bool { return f.state == string(v1alpha1.ResourceOnline) }

func (o *failOptions) run(c *cobra.Command, arg string) error {
	name, err := parseResource(arg)
	if err != nil {
		return errInput{err}
	}
	api, err := o.client()
	if err != nil {
		return err
	}
	return o.fail(c.Context(), api, c.OutOrStdout(), name)
}

func (o *failOptions) fail(ctx context.Context, api client.Client, out io.Writer, name string) error {
	r := &v1alpha1.Resource{}
	if err := api.Get(ctx, client.ObjectKey{Namespace: o.namespace, Name: name}, r); err != nil {
		return fmt.Errorf("reading the resource: %w", err)
	}
	before, err := o.factsOf(r)
	if err != nil {
		return errInput{err}
	}
	if !before.online() {
		return errInput{fmt.Errorf("resource %s/%s is %s: only one that is Online can fail", r.Namespace, r.Name, before.shown())}
	}
	token := rand.String(8)
	if o.node != "" {
		token = o.node + "/" + token
	}
	changed := r.DeepCopy()
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	changed.Annotations[v1alpha1.SimulateFailureAnnotation] = token
	if err := api.Patch(ctx, changed, client.MergeFrom(r)); err != nil {
		return fmt.Errorf("asking for the failure of %s/%s: %w", r.Namespace, r.Name, err)
	}
	if _, err := fmt.Fprintf(out, "%s/%s is told to fail on %s\n", r.Namespace, r.Name, before.node); err != nil || !o.wait {
		return err
	}
	return o.follow(ctx, api, out, client.ObjectKeyFromObject(r), before)
}

// follow shows each change, until the resource is online again.
func (o *failOptions) follow(ctx context.Context, api client.Client, out io.Writer, key client.ObjectKey, before facts) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	ticker := time.NewTicker(failPoll)
	defer ticker.Stop()
	began, last := time.Now(), before
	for {
		select {
		case <-ctx.Done():
			return o.late(key, before, last)
		case <-ticker.C:
		}
		r := &v1alpha1.Resource{}
		if err := api.Get(ctx, key, r); err != nil {
			continue // an API server that is away for a while says nothing of the resource
		}
		now, err := o.factsOf(r)
		if err != nil {
			return err
		}
		if now == last {
			continue
		}
		last = now
		if err := now.write(out, time.Since(began)); err != nil {
			return err
		}
		if now.online() && (!now.since.Equal(before.since) || now.node != before.node) {
			return nil
		}
	}
}

func (o *failOptions) late(key client.ObjectKey, before, last facts) error {
	if last == before {
		return fmt.Errorf("%s has not failed within %s: is the agent on %s running?", key, o.timeout, before.node)
	}
	return fmt.Errorf("%s is not online again within %s: it is %s on %s (%s)", key, o.timeout, last.shown(), last.node,
		strings.Trim(last.reason+": "+last.message, ": "))
}

func (f facts) write(out io.Writer, after time.Duration) error {
	text := fmt.Sprintf("%6.1fs  %-14s on %s", after.Seconds(), f.shown(), f.node)
	if f.reason != "" {
		text += "  " + f.reason
	}
	if f.message != "" {
		text += ": " + f.message
	}
	if f.restarts > 0 {
		text += fmt.Sprintf("  (restarts here: %d)", f.restarts)
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

// factsOf reads the status of the owner, or of the member that is named.
func (o *failOptions) factsOf(r *v1alpha1.Resource) (facts, error) {
	s := &r.Status
	f := facts{
		node: s.Node, state: string(s.State), reason: s.Reason, message: s.Message, epoch: s.Epoch, restarts: s.Restarts,
	}
	if s.OnlineSince != nil {
		f.since = s.OnlineSince.Time
	}
	if len(s.Members) == 0 {
		if o.node != "" && s.Node != o.node {
			return f, fmt.Errorf("resource %s/%s is on %s, not on %s", r.Namespace, r.Name, cmp.Or(s.Node, "no node"), o.node)
		}
		return f, nil
	}
	at := slices.IndexFunc(s.Members, func(m v1alpha1.ResourceMember) bool { return m.Node == o.node })
	if at < 0 {
		return f, fmt.Errorf("resource %s/%s runs on several nodes: name one with --node: %s", r.Namespace, r.Name, strings.Join(memberNames(s.Members), ", "))
	}
	m := s.Members[at]
	f = facts{node: m.Node, state: string(m.State), reason: m.Reason, message: m.Message, epoch: m.Epoch, restarts: m.Restarts}
	if m.OnlineSince != nil {
		f.since = m.OnlineSince.Time
	}
	return f, nil
}

func memberNames(members []v1alpha1.ResourceMember) []string {
	names := make([]string, 0, len(members))
	for i := range members {
		names = append(names, members[i].Node)
	}
	return names
}

// parseResource reads res/NAME.
func parseResource(arg string) (string, error) {
	kind, name, found := strings.Cut(arg, "/")
	if !found || name == "" || strings.Contains(name, "/") || !slices.Contains([]string{"res", "resource", "resources"}, kind) {
		return "", fmt.Errorf("%q is no resource: write res/NAME, with the namespace in -n", arg)
	}
	return name, nil
}

// complete offers the resources of the namespace.
func (o *failOptions) complete(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	api, err := o.client()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list v1alpha1.ResourceList
	if api.List(c.Context(), &list, client.InNamespace(o.namespace)) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, "res/"+list.Items[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
