package apiservers

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Load reads a kubeconfig file and makes the servers that it names; empty means the service account of a pod. more are the URLs of
// further servers. It does not connect.
func Load(kubeconfig string, more []string) (*Servers, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("reading the service account of the pod: %w", err)
		}
		return New(config, more)
	}
	raw, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if err := clientcmd.ResolveLocalPaths(raw); err != nil {
		return nil, fmt.Errorf("reading the kubeconfig %s: %w", kubeconfig, err)
	}
	s, err := FromKubeconfig(clientcmd.NewDefaultClientConfig(*raw, nil), *raw, raw.CurrentContext, more)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	return s, nil
}

// FromKubeconfig makes the servers that a context of a kubeconfig names (OtherServers), and more.
func FromKubeconfig(client clientcmd.ClientConfig, raw clientcmdapi.Config, context string, more []string) (*Servers, error) {
	config, err := client.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w", err)
	}
	others, err := OtherServers(raw, context)
	if err != nil {
		return nil, err
	}
	return New(config, append(others, more...))
}

// OtherServers are the URLs of the other servers of a context's cluster, in order of name: those of the clusters in the kubeconfig
// that are called like it, with a slash and something more ("lab", "lab/2", "lab/3"). All must have the same certificate authority.
func OtherServers(raw clientcmdapi.Config, context string) ([]string, error) {
	if context == "" {
		context = raw.CurrentContext
	}
	chosen := raw.Contexts[context]
	if chosen == nil || raw.Clusters[chosen.Cluster] == nil {
		return nil, nil // client-go says what is wrong, or has another source
	}
	first := raw.Clusters[chosen.Cluster]
	var servers []string
	for _, name := range slices.Sorted(maps.Keys(raw.Clusters)) {
		if !strings.HasPrefix(name, chosen.Cluster+"/") {
			continue
		}
		c := raw.Clusters[name]
		if c.Server == "" {
			return nil, fmt.Errorf("cluster %q has no server", name)
		}
		same := c.CertificateAuthority == first.CertificateAuthority &&
			bytes.Equal(c.CertificateAuthorityData, first.CertificateAuthorityData) && c.InsecureSkipTLSVerify == first.InsecureSkipTLSVerify
		if !same {
			return nil, fmt.Errorf("cluster %q is another server of %q by its name, and has another certificate authority: "+
				"give it the same one, or another name", name, chosen.Cluster)
		}
		servers = append(servers, c.Server)
	}
	return servers, nil
}
