package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Defaults that the API server fills in. They are here for programs that make objects without one, and for tests.
const (
	DefaultHeartbeatInterval  = 250 * time.Millisecond
	DefaultHeartbeatThreshold = 4
	DefaultHeartbeatPort      = 3343
	DefaultSelfFenceTimeout   = time.Second
	DefaultFailoverThreshold  = 6
	DefaultFailoverPeriod     = 10 * time.Hour
	DefaultPriority           = 2000
	DefaultRestartThreshold   = 3
	DefaultRestartPeriod      = 15 * time.Minute
	DefaultRestartDelay       = 500 * time.Millisecond
)

// Built-in defaults of what is inherited or left out; the API server does not fill these in.
const (
	DefaultLooksAliveInterval   = 5 * time.Second
	DefaultIsAliveInterval      = time.Minute
	DefaultPendingTimeout       = 3 * time.Minute
	DefaultDeadlockTimeout      = 5 * time.Minute
	DefaultRetryPeriodOnFailure = time.Hour
	DefaultStopSignal           = "SIGTERM"
	DefaultStopTimeout          = 10 * time.Second
	DefaultProbeTimeout         = 5 * time.Second
	DefaultProbeHost            = "127.0.0.1"
	DefaultFSType               = "ext4"
)

// EffectiveTiming is a Timing in which everything has a value.
//
// +kubebuilder:object:generate=false
type EffectiveTiming struct {
	LooksAliveInterval time.Duration
	IsAliveInterval    time.Duration
	PendingTimeout     time.Duration
	DeadlockTimeout    time.Duration
}

// TimingOf returns the resource's intervals and timeouts: its own, else those of its type in the cluster, else the built-in ones.
func (c *ClusterSpec) TimingOf(r *ResourceSpec) EffectiveTiming {
	var byType Timing
	for i := range c.ResourceTypes {
		if c.ResourceTypes[i].Type == r.Type {
			byType = c.ResourceTypes[i].Timing
		}
	}
	return EffectiveTiming{
		LooksAliveInterval: firstSet(DefaultLooksAliveInterval, r.LooksAliveInterval, byType.LooksAliveInterval),
		IsAliveInterval:    firstSet(DefaultIsAliveInterval, r.IsAliveInterval, byType.IsAliveInterval),
		PendingTimeout:     firstSet(DefaultPendingTimeout, r.PendingTimeout, byType.PendingTimeout),
		DeadlockTimeout:    firstSet(DefaultDeadlockTimeout, r.DeadlockTimeout, byType.DeadlockTimeout),
	}
}

// RetryPeriod returns how long after being given up the resource is tried again; 0 for never.
func (r *ResourceSpec) RetryPeriod() time.Duration {
	if r.RetryPeriodOnFailure != nil {
		return r.RetryPeriodOnFailure.Duration
	}
	return max(DefaultRetryPeriodOnFailure, firstSet(DefaultRestartPeriod, r.Restart.Period))
}

// HostNameOrDefault returns the name of the node's host.
func (n *Node) HostNameOrDefault() string {
	if n.Spec.HostName != "" {
		return n.Spec.HostName
	}
	return n.Name
}

func firstSet(def time.Duration, values ...*metav1.Duration) time.Duration {
	for _, v := range values {
		if v != nil {
			return v.Duration
		}
	}
	return def
}
