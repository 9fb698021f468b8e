package nodeagent

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// letGo is the last word of this node on a resource that was moved to another group: nil as long as it is not this node's to say, or
// something of it may be here. The monitor's report of the old group, at the epoch of the status or later, no longer has it only when
// nothing of it is left. A group that this node has no more is the manager's to judge.
func (p *publisher) letGo(r *v1alpha1.Resource) *v1alpha1.ResourceStatus {
	if !snapshot.HeldByOther(r) || r.Status.Node != p.nodeName {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	said := false
	for _, report := range p.reports {
		if contains(report, string(r.UID), func(int) bool { return true }) {
			return nil
		}
		said = said || report.Group.Namespace == r.Namespace && report.Group.Name == r.Status.GroupName && int64(report.Running) >= r.Status.Epoch
	}
	if !said {
		return nil
	}
	return &v1alpha1.ResourceStatus{
		ObservedGeneration: r.Status.ObservedGeneration, State: v1alpha1.ResourceOffline, Node: p.nodeName,
		GroupName: r.Status.GroupName, Epoch: r.Status.Epoch, Reason: v1alpha1.ResourceReasonLeftGroup,
		Message:            fmt.Sprintf("group %s has let go of it, for group %s", r.Status.GroupName, r.Spec.GroupName),
		LastTransitionTime: &metav1.MicroTime{Time: time.Now().Truncate(time.Microsecond)},
	}
}

// moved has the resources looked at of which this node may have to say that it has let go: an earlier agent may not have come to it.
func (p *publisher) moved() {
	w := p.world()
	if w == nil {
		return
	}
	resources, err := w.allResources(context.Background()) // from memory
	if err != nil {
		return // the objects are not there yet; when they are, everything is looked at again
	}
	for _, r := range resources {
		if snapshot.HeldByOther(r) && r.Status.Node == p.nodeName {
			p.resources.Add(client.ObjectKeyFromObject(r))
		}
	}
}
