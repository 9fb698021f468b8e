package snapshot

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
)

// Timing resolves what is inherited: the resource's own, then the cluster's for the type, then the built-in. cluster may be nil.
func Timing(r *v1alpha1.Resource, cluster *v1alpha1.Cluster) lifecycle.Timing {
	var inherited v1alpha1.Timing
	if cluster != nil {
		for _, t := range cluster.Spec.ResourceTypes {
			if t.Type == r.Spec.Type {
				inherited = t.Timing
			}
		}
	}
	own := r.Spec.Timing
	t := lifecycle.Timing{
		LooksAlive: first(own.LooksAliveInterval, inherited.LooksAliveInterval),
		IsAlive:    first(own.IsAliveInterval, inherited.IsAliveInterval),
		Pending:    first(own.PendingTimeout, inherited.PendingTimeout),
		Deadlock:   first(own.DeadlockTimeout, inherited.DeadlockTimeout),
		Restart: lifecycle.Restart{
			Policy: lifecycle.RestartAlways, Threshold: 3, Period: first(r.Spec.Restart.Period), Delay: 500 * time.Millisecond,
		},
	}
	if p := r.Spec.Restart.Policy; p != "" {
		t.Restart.Policy = lifecycle.RestartPolicy(p)
	}
	if n := r.Spec.Restart.Threshold; n != nil {
		t.Restart.Threshold = int(*n)
	}
	if d := r.Spec.Restart.Delay; d != nil {
		t.Restart.Delay = d.Duration
	}
	t = t.WithDefaults()
	t.RetryPeriod = max(time.Hour, t.Restart.Period)
	if d := r.Spec.RetryPeriodOnFailure; d != nil {
		t.RetryPeriod = d.Duration
	}
	return t
}

// first returns the first duration that is set, 0 if none is.
func first(durations ...*metav1.Duration) time.Duration {
	for _, d := range durations {
		if d != nil {
			return d.Duration
		}
	}
	return 0
}
