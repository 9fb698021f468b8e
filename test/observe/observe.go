// Package observe looks at a cluster as an operator would, through the API, and waits for what it ought to show. The demo, the
// end-to-end tests and the benchmarks share it.
package observe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/apiservers"
)

// poll is how often a condition is looked at while it is waited for.
const poll = 25 * time.Millisecond

// Cluster is an operator's eye on a cluster.
type Cluster struct {
	client.WithWatch
	// Namespace is where the groups are.
	Namespace string
}

// New opens the cluster of a kubeconfig, through all of the servers that it names (package apiservers); groups are looked for in the
// namespace.
func New(kubeconfig, namespace string) (*Cluster, error) {
	servers, err := apiservers.Load(kubeconfig, nil)
	if err != nil {
		return nil, err
	}
	return NewForConfig(servers.Config(), namespace)
}

// NewForConfig is New for a client configuration.
func NewForConfig(config *rest.Config, namespace string) (*Cluster, error) {
	ctrllog.SetLogger(logr.Discard()) // what the client has to say is in its errors
	config = rest.CopyConfig(config)
	config.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("building the scheme: %w", err)
		}
	}
	api, err := client.NewWithWatch(config, client.Options{Scheme: scheme, FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		return nil, fmt.Errorf("opening the API: %w", err)
	}
	return &Cluster{WithWatch: api, Namespace: namespace}, nil
}

// Wait polls until done is true; at the deadline the error ends with what done last said of the state.
func Wait(ctx context.Context, limit time.Duration, what string, done func(context.Context) (ok bool, state string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last string
	for {
		ok, state, err := done(ctx)
		switch {
		case err == nil && ok:
			return nil
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			last = err.Error()
		case err == nil:
			last = state
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s; last seen: %s", what, limit, last)
		case <-time.After(poll):
		}
	}
}

// Group reads one group.
func (c *Cluster) Group(ctx context.Context, name string) (*v1alpha1.ResourceGroup, error) {
	group := &v1alpha1.ResourceGroup{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: c.Namespace, Name: name}, group); err != nil {
		return nil, fmt.Errorf("reading group %s: %w", name, err)
	}
	return group, nil
}

// Resource reads one resource.
func (c *Cluster) Resource(ctx context.Context, name string) (*v1alpha1.Resource, error) {
	resource := &v1alpha1.Resource{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: c.Namespace, Name: name}, resource); err != nil {
		return nil, fmt.Errorf("reading resource %s: %w", name, err)
	}
	return resource, nil
}

// Node reads one node.
func (c *Cluster) Node(ctx context.Context, name string) (*v1alpha1.Node, error) {
	node := &v1alpha1.Node{}
	if err := c.Get(ctx, types.NamespacedName{Name: name}, node); err != nil {
		return nil, fmt.Errorf("reading qnode %s: %w", name, err)
	}
	return node, nil
}

// Describe says in a line where a group is.
func Describe(g *v1alpha1.ResourceGroup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s", g.Name, orNone(string(g.Status.State)))
	if a := g.Status.Assignment; a != nil {
		fmt.Fprintf(&b, ", assigned to %s at epoch %d (%s)", orNone(a.Node), a.Epoch, a.Reason)
	}
	for _, condition := range g.Status.Conditions {
		if condition.Status != metav1.ConditionTrue && condition.Message != "" {
			fmt.Fprintf(&b, "; %s=%s: %s", condition.Type, condition.Status, condition.Message)
		}
	}
	return b.String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// WaitOnline waits until the group is Online on the node; an empty node means anywhere.
func (c *Cluster) WaitOnline(ctx context.Context, limit time.Duration, group, node string) error {
	what := fmt.Sprintf("group %s online on %s", group, orAny(node))
	return Wait(ctx, limit, what, func(ctx context.Context) (bool, string, error) {
		g, err := c.Group(ctx, group)
		if err != nil {
			return false, "", err
		}
		a := g.Status.Assignment
		online := g.Status.State == v1alpha1.GroupOnline && a != nil && a.Node != "" && (node == "" || a.Node == node)
		return online, Describe(g), nil
	})
}

func orAny(node string) string {
	if node == "" {
		return "any node"
	}
	return node
}

// WaitGroup waits until ok holds of the group.
func (c *Cluster) WaitGroup(ctx context.Context, limit time.Duration, name, what string, ok func(*v1alpha1.ResourceGroup) bool) error {
	return Wait(ctx, limit, fmt.Sprintf("group %s %s", name, what), func(ctx context.Context) (bool, string, error) {
		g, err := c.Group(ctx, name)
		if err != nil {
			return false, "", err
		}
		return ok(g), Describe(g), nil
	})
}

// WaitNodes waits until each named node is in the state.
func (c *Cluster) WaitNodes(ctx context.Context, limit time.Duration, state v1alpha1.NodeState, names ...string) error {
	return Wait(ctx, limit, fmt.Sprintf("qnodes %s %s", strings.Join(names, ", "), state), func(ctx context.Context) (bool, string, error) {
		for _, name := range names {
			n, err := c.Node(ctx, name)
			if err != nil {
				return false, "", err
			}
			if n.Status.State != state {
				return false, fmt.Sprintf("qnode %s is %s", name, orNone(string(n.Status.State))), nil
			}
		}
		return true, "", nil
	})
}

// Forgive ends the quarantine of nodes and forgets their exits, as an operator does: who breaks hosts on purpose has no use for it. It
// returns when the managers have done so.
func (c *Cluster) Forgive(ctx context.Context, limit time.Duration, names ...string) error {
	return Wait(ctx, limit, "the exits of qnodes "+strings.Join(names, ", ")+" are forgiven", func(ctx context.Context) (bool, string, error) {
		pending := ""
		for _, name := range names {
			n, err := c.Node(ctx, name)
			if err != nil {
				return false, "", err
			}
			if _, asked := n.Annotations[v1alpha1.ClearQuarantineAnnotation]; asked {
				pending = name
				continue
			}
			exits, q := n.Status.UngracefulExits, n.Status.Quarantine
			if len(exits) == 0 || q != nil && q.Until == nil && q.ClearedAt != nil && !exits[len(exits)-1].After(q.ClearedAt.Time) {
				continue
			}
			pending = name
			before := n.DeepCopy()
			metav1.SetMetaDataAnnotation(&n.ObjectMeta, v1alpha1.ClearQuarantineAnnotation, fmt.Sprintf("yes/%d", time.Now().UnixNano()))
			if err := c.Patch(ctx, n, client.MergeFrom(before)); err != nil {
				return false, "", fmt.Errorf("clearing the quarantine of %s: %w", name, err)
			}
		}
		return pending == "", pending + " is not forgiven yet", nil
	})
}

// Annotate sets (or, with an empty value, removes) an annotation of a group.
func (c *Cluster) Annotate(ctx context.Context, group, key, value string) error {
	g, err := c.Group(ctx, group)
	if err != nil {
		return err
	}
	before := g.DeepCopy()
	if g.Annotations == nil {
		g.Annotations = map[string]string{}
	}
	if g.Annotations[key] = value; value == "" {
		delete(g.Annotations, key)
	}
	if err := c.Patch(ctx, g, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("annotating group %s: %w", group, err)
	}
	return nil
}

// Move asks for the group to be moved (quorate.io/move-to) and waits until it is online there.
func (c *Cluster) Move(ctx context.Context, limit time.Duration, group, node string) error {
	if err := c.Annotate(ctx, group, v1alpha1.MoveToAnnotation, node); err != nil {
		return err
	}
	return c.WaitOnline(ctx, limit, group, node)
}

// Leader names the node of the leading manager.
func (c *Cluster) Leader(ctx context.Context, namespace string) (string, error) {
	lease, err := c.lease(ctx, namespace, "quorate-manager")
	if err != nil {
		return "", err
	}
	node, _, _ := strings.Cut(lease, "_")
	return node, nil
}

// Events lists the events of an object, oldest first, a line each.
func (c *Cluster) Events(ctx context.Context, kind, name string) ([]string, error) {
	list := &corev1.EventList{}
	if err := c.List(ctx, list); err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	var lines []string
	for _, e := range list.Items {
		if e.InvolvedObject.Kind == kind && e.InvolvedObject.Name == name {
			lines = append(lines, e.Reason+": "+e.Message)
		}
	}
	return lines, nil
}
