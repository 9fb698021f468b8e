package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/apiservers"
)

// access is how the API is reached, and which cluster is meant.
type access struct {
	kubeconfig, context, cluster string
}

func (a *access) add(flags *pflag.FlagSet) {
	flags.StringVar(&a.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, else ~/.kube/config)")
	flags.StringVar(&a.context, "context", "", "context of the kubeconfig")
	flags.StringVar(&a.cluster, "cluster", "", "name of the Cluster (default: the only one there is)")
}

// client opens the API.
func (a *access) client() (client.Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.kubeconfig
	loading := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: a.context})
	raw, err := loading.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	servers, err := apiservers.FromKubeconfig(loading, raw, a.context, nil)
	if err != nil {
		return nil, err
	}
	config := servers.Config()
	config.QPS = -1 // a person asks
	// What the client libraries have to say is in their errors.
	ctrllog.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("building the scheme: %w", err)
		}
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("opening the API: %w", err)
	}
	return api, nil
}

// clusterName is the Cluster that is meant.
func (a *access) clusterName(ctx context.Context, api client.Reader) (string, error) {
	if a.cluster != "" {
		return a.cluster, nil
	}
	names, err := clusterNames(ctx, api)
	switch {
	case err != nil:
		return "", err
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", fmt.Errorf("there is no Cluster: apply one, or name another API server with --kubeconfig or --context")
	}
	return "", fmt.Errorf("there are several Clusters, name one with --cluster: %s", strings.Join(names, ", "))
}

func clusterNames(ctx context.Context, api client.Reader) ([]string, error) {
	var list v1alpha1.ClusterList
	if err := api.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing Clusters: %w", err)
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names, nil
}

// completeClusters offers the names of the Clusters.
func (a *access) completeClusters(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	api, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := clusterNames(c.Context(), api)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
