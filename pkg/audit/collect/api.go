package collect

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/snapshot"
)

// maxSilence is R of the design: a reporter that has renewed its Lease within this time is heard.
const maxSilence = 10 * time.Second

// maxUnheard is how long the reporter of a cluster whose nodes may decide themselves is believed to go by the API server: it renews its
// Lease every 2 s, and whoever opens a session has not reached the API server for longer.
const maxUnheard = 4 * time.Second

// catchUp is how long a reporter that is heard again has to begin to publish what was decided meanwhile: it renews its Lease first, and
// what was read before it published is older than both. On a busy machine with a long journal that takes many seconds; what is published is
// judged at once.
const catchUp = 20 * time.Second

// errMayDecide says that what the API server shows may not be what is in force.
var errMayDecide = errors.New("the nodes may have decided by themselves what is not written yet")

// API reads the objects of one cluster. It is not safe for concurrent use.
type API struct {
	Client client.Reader
	// Cluster is the Cluster's name.
	Cluster string

	renewed time.Time // renewTime of the reporter's Lease, as last seen
	heard   time.Time // when it was last seen to change, by this clock
	back    time.Time // when it was heard again after it had been silent for longer than maxUnheard
	page    string    // the token of what a reporter has published last of what was decided since; empty for nothing
	before  string    // the Cluster's journalWritten when it was heard again
}

// Objects reads the cluster. Agents' words are read before what they answer to, so that nothing seems to be ahead of its assignment
// only because it was read later. A Lease that may not be read is told in unseen: then the Cluster's status says whether there is
// quorum.
func (a *API) Objects(ctx context.Context) (*snapshot.Objects, []audit.Unseen, error) {
	o := &snapshot.Objects{Name: a.Cluster}
	var nodes v1alpha1.NodeList
	if err := a.Client.List(ctx, &nodes); err != nil {
		return nil, nil, fmt.Errorf("listing nodes: %w", err)
	}
	for i := range nodes.Items {
		if nodes.Items[i].Spec.ClusterName == a.Cluster {
			o.Nodes = append(o.Nodes, &nodes.Items[i])
		}
	}
	if err := a.groups(ctx, o); err != nil {
		return nil, nil, err
	}
	cluster, quorum := &v1alpha1.Cluster{}, &v1alpha1.QuorumConfig{}
	if err := a.Client.Get(ctx, client.ObjectKey{Name: a.Cluster}, cluster); err != nil {
		return nil, nil, fmt.Errorf("reading cluster %s: %w", a.Cluster, err)
	}
	o.Cluster = cluster
	switch err := a.Client.Get(ctx, client.ObjectKey{Name: a.Cluster}, quorum); {
	case err == nil:
		o.Quorum = quorum
	case !apierrors.IsNotFound(err):
		return nil, nil, fmt.Errorf("reading quorum configuration %s: %w", a.Cluster, err)
	}
	o.Sort()
	unseen := a.reporter(ctx, o)
	if cluster.Spec.Autonomy == v1alpha1.AutonomyEnabled {
		if err := a.mayDecide(o, time.Now()); err != nil {
			return nil, unseen, err
		}
	}
	return o, unseen, nil
}

// mayDecide says why what is shown may not be what is in force; nil when it is, or when what is in force is published beside it.
func (a *API) mayDecide(o *snapshot.Objects, now time.Time) error {
	_, token := o.JournalPage()
	if token != "" {
		a.page = token
	}
	written := o.Cluster.Status.JournalWritten
	switch silence, back := now.Sub(a.heard), now.Sub(a.back); {
	case !a.heard.IsZero() && silence > maxUnheard: // a reporter that never had a Lease may be one of a cluster that has just been formed
		return fmt.Errorf("%w: nothing was heard of their reporter for %s", errMayDecide, silence.Round(time.Second))
	case token != "":
		return nil
	case o.JournalPending():
		return fmt.Errorf("%w: one goes by a journal that their reporter has not published", errMayDecide)
	case a.page != "" && written != a.page && written == a.before:
		return fmt.Errorf("%w: what a reporter had published is not written, and another one does not publish it yet", errMayDecide)
	case !a.back.IsZero() && a.page == "" && back < catchUp:
		return fmt.Errorf("%w: their reporter is heard again since %s", errMayDecide, back.Round(time.Second))
	}
	return nil
}

func (a *API) groups(ctx context.Context, o *snapshot.Objects) error {
	var resources v1alpha1.ResourceList
	if err := a.Client.List(ctx, &resources); err != nil {
		return fmt.Errorf("listing resources: %w", err)
	}
	var groups v1alpha1.ResourceGroupList
	if err := a.Client.List(ctx, &groups); err != nil {
		return fmt.Errorf("listing groups: %w", err)
	}
	mine := map[string]bool{}
	for i := range groups.Items {
		if g := &groups.Items[i]; g.Spec.ClusterName == a.Cluster {
			o.Groups = append(o.Groups, g)
			mine[snapshot.Key(g).String()] = true
		}
	}
	for i := range resources.Items {
		if r := &resources.Items[i]; mine[snapshot.GroupKeyOf(r).String()] {
			o.Resources = append(o.Resources, r)
		}
	}
	return nil
}

// reporter finds out whether the reporter is heard, by changes of its Lease, and by its age at the first look.
func (a *API) reporter(ctx context.Context, o *snapshot.Objects) []audit.Unseen {
	lease := &coordinationv1.Lease{}
	key := client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.ReporterLeaseName(a.Cluster)}
	err := a.Client.Get(ctx, key, lease)
	if apierrors.IsNotFound(err) || err == nil && lease.Spec.RenewTime == nil {
		return nil
	}
	if err != nil {
		o.Fresh = o.Cluster.Status.Quorate
		return []audit.Unseen{{
			Source: audit.SourceAPI, Object: "Lease " + key.String(),
			Message: fmt.Sprintf("whether there is quorum is taken from the Cluster's status: %v", err),
		}}
	}
	now, renewed := time.Now(), lease.Spec.RenewTime.Time
	switch {
	case a.renewed.IsZero():
		a.heard = renewed
	case !renewed.Equal(a.renewed):
		if now.Sub(a.heard) > maxUnheard {
			a.back, a.page, a.before = now, "", o.Cluster.Status.JournalWritten
		}
		a.heard = now
	}
	a.renewed = renewed
	o.Fresh = now.Sub(a.heard) < maxSilence
	if lease.Spec.HolderIdentity != nil {
		o.Reporter = *lease.Spec.HolderIdentity
	}
	return nil
}
