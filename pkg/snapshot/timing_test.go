package snapshot

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
)

func span(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

func TestTiming(t *testing.T) {
	cluster := &v1alpha1.Cluster{Spec: v1alpha1.ClusterSpec{ResourceTypes: []v1alpha1.ResourceTypeDefaults{{
		Type: v1alpha1.TypeIPAddress, Timing: v1alpha1.Timing{LooksAliveInterval: span(2 * time.Second), IsAliveInterval: span(20 * time.Second)},
	}}}}
	r := &v1alpha1.Resource{Spec: v1alpha1.ResourceSpec{
		Type: v1alpha1.TypeIPAddress, Timing: v1alpha1.Timing{LooksAliveInterval: span(time.Second)},
		Restart: v1alpha1.Restart{Threshold: new(int32(0)), Period: span(2 * time.Hour), Delay: span(0)},
	}}
	want := lifecycle.Timing{
		LooksAlive: time.Second, IsAlive: 20 * time.Second, Pending: 3 * time.Minute, Deadlock: 5 * time.Minute, RetryPeriod: 2 * time.Hour,
		Restart: lifecycle.Restart{Policy: lifecycle.RestartAlways, Threshold: 0, Period: 2 * time.Hour, Delay: 0},
	}
	if diff := cmp.Diff(want, Timing(r, cluster)); diff != "" {
		t.Errorf("inherited (-want +got):\n%s", diff)
	}
	r.Spec = v1alpha1.ResourceSpec{Type: v1alpha1.TypeLoopbackDisk, RetryPeriodOnFailure: span(0)}
	want = lifecycle.Timing{
		LooksAlive: 5 * time.Second, IsAlive: time.Minute, Pending: 3 * time.Minute, Deadlock: 5 * time.Minute,
		Restart: lifecycle.Restart{Policy: lifecycle.RestartAlways, Threshold: 3, Period: 15 * time.Minute, Delay: 500 * time.Millisecond},
	}
	if diff := cmp.Diff(want, Timing(r, cluster)); diff != "" {
		t.Errorf("built in, never retried (-want +got):\n%s", diff)
	}
}
