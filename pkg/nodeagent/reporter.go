package nodeagent

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// leaseRenewal is how often the reporter renews its Lease: the only write of an idle cluster beside the leading manager's.
const leaseRenewal = 2 * time.Second

// firstRenewal is when a new reporter begins: its view comes first, and is a sign of life itself.
const firstRenewal = time.Second

// reporter renews the Lease that tells the controllers that the published view is alive.
type reporter struct {
	log      logr.Logger
	nodeName string
	cluster  string
	writer   client.Client
	standing func() *standing
	reached  func() bool
	orders   *gate
}

// run renews until ctx ends, while this node is the reporter.
func (r *reporter) run(ctx context.Context) {
	ticker := time.NewTicker(leaseRenewal / 8)
	defer ticker.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s := r.standing()
		switch {
		case !s.reporting() || !r.orders.now().publishes(s) || !r.reached():
			last = time.Time{}
			continue
		case last.IsZero():
			last = time.Now().Add(firstRenewal - leaseRenewal)
		}
		if time.Since(last) < leaseRenewal {
			continue
		}
		if err := r.renew(ctx); err != nil {
			r.log.Info("The reporter's Lease was not renewed", "reason", err.Error())
			continue
		}
		last = time.Now()
	}
}

func (r *reporter) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRenewal)
	defer cancel()
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "coordination.k8s.io/v1",
		"kind":       "Lease",
		"metadata":   map[string]any{"namespace": v1alpha1.SystemNamespace, "name": v1alpha1.ReporterLeaseName(r.cluster)},
		"spec": map[string]any{
			"holderIdentity": r.nodeName, "leaseDurationSeconds": int64(10), "renewTime": time.Now().UTC().Format(metav1.RFC3339Micro),
		},
	}}
	return r.writer.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(v1alpha1.AgentFieldManager),
		client.ForceOwnership)
}
