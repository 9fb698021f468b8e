package v1alpha1

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTimingOf(t *testing.T) {
	d := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	cluster := &ClusterSpec{ResourceTypes: []ResourceTypeDefaults{
		{Type: TypeOCF, Timing: Timing{IsAliveInterval: d(10 * time.Second), PendingTimeout: d(time.Minute)}},
	}}
	builtIn := EffectiveTiming{5 * time.Second, time.Minute, 3 * time.Minute, 5 * time.Minute}
	cases := map[string]struct {
		resource ResourceSpec
		want     EffectiveTiming
	}{
		"built in": {ResourceSpec{Type: TypeCustom}, builtIn},
		"by type":  {ResourceSpec{Type: TypeOCF}, EffectiveTiming{5 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute}},
		"its own": {
			ResourceSpec{Type: TypeOCF, Timing: Timing{IsAliveInterval: d(time.Second), DeadlockTimeout: d(time.Hour)}},
			EffectiveTiming{5 * time.Second, time.Second, time.Minute, time.Hour},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, cluster.TimingOf(&tc.resource)); diff != "" {
				t.Errorf("timing (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetryPeriod(t *testing.T) {
	d := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	cases := map[string]struct {
		resource ResourceSpec
		want     time.Duration
	}{
		"default":              {ResourceSpec{}, time.Hour},
		"never":                {ResourceSpec{RetryPeriodOnFailure: d(0)}, 0},
		"its own":              {ResourceSpec{RetryPeriodOnFailure: d(20 * time.Minute)}, 20 * time.Minute},
		"longer restart cycle": {ResourceSpec{Restart: Restart{Period: d(2 * time.Hour)}}, 2 * time.Hour},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.resource.RetryPeriod(); got != tc.want {
				t.Errorf("retry period = %v, want %v", got, tc.want)
			}
		})
	}
}
