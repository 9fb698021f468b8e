package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/nodeagent"
)

// Hosts are the hosts of a lab.
type Hosts interface {
	// Exec runs a command on a host, and returns what it prints.
	Exec(ctx context.Context, host string, command ...string) (string, error)
}

// AgentStatus asks the agent of a host how it stands, which needs no API server.
func AgentStatus(ctx context.Context, on Hosts, host string) (*nodeagent.LocalStatus, error) {
	out, err := on.Exec(ctx, host, "/opt/quorate/bin/quorate-agent", "status", "-o", "json")
	if err != nil {
		return nil, err
	}
	s := &nodeagent.LocalStatus{}
	if err := json.Unmarshal([]byte(out), s); err != nil {
		return nil, fmt.Errorf("the status of the agent of %s: %w", host, err)
	}
	return s, nil
}

// WaitJournal waits until each of the hosts goes by its journal, or no longer does.
func WaitJournal(ctx context.Context, limit time.Duration, on Hosts, want bool, hosts ...string) error {
	for _, host := range hosts {
		err := Wait(ctx, limit, fmt.Sprintf("%s goes by the journal: %t", host, want), func(ctx context.Context) (bool, string, error) {
			s, err := AgentStatus(ctx, on, host)
			return err == nil && (s.Journal != "") == want, fmt.Sprintf("%+v, %v", s, err), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// SetAutonomy says whether the nodes of a cluster may decide while no API server is reached.
func (c *Cluster) SetAutonomy(ctx context.Context, cluster string, policy v1alpha1.AutonomyPolicy) error {
	o := &v1alpha1.Cluster{}
	if err := c.Get(ctx, client.ObjectKey{Name: cluster}, o); err != nil {
		return err
	}
	before := o.DeepCopy()
	o.Spec.Autonomy = policy
	return c.Patch(ctx, o, client.MergeFrom(before))
}
