package nodeagent

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/networkname"
)

// resourcesOfCluster are the resources of the cluster's groups.
func (w *world) resourcesOfCluster(ctx context.Context, cluster string) ([]*v1alpha1.Resource, error) {
	groups, err := w.groups(ctx, cluster)
	if err != nil {
		return nil, err
	}
	ours := map[client.ObjectKey]bool{}
	for _, g := range groups {
		ours[client.ObjectKeyFromObject(g)] = true
	}
	resources, err := w.allResources(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(resources, func(r *v1alpha1.Resource) bool {
		return !ours[client.ObjectKey{Namespace: r.Namespace, Name: r.Spec.GroupName}]
	}), nil
}

// startNames lets the type NetworkName write to DNS: in the agent, and not in its guardian.
func (a *agent) startNames(ctx context.Context) error {
	a.vault = &vault{
		log: a.log.WithName("secrets"), cluster: a.opts.Cluster, world: a.world, settings: a.enrolment.current, path: a.files.secretsPath(),
		problems: a.problems,
	}
	a.vault.load()
	t, err := a.types.Get(networkname.Name)
	if err != nil {
		return err
	}
	names, ok := t.(*networkname.Type)
	if !ok {
		return fmt.Errorf("resource type %s is a %T", networkname.Name, t)
	}
	names.Start(ctx, networkname.Options{
		RunDir: a.opts.RunDir, Secret: a.vault.of, Timing: networkname.DefaultTiming(), Log: a.log.WithName("names"),
		Tell: func(found []resourcetype.Problem) {
			var list []v1alpha1.AgentProblem
			for _, p := range found {
				list = append(list, v1alpha1.AgentProblem{Reason: p.Reason, Object: p.Object, Message: p.Message})
			}
			a.problems.set("names", list)
		},
	})
	return nil
}
