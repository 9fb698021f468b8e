package lease

import (
	"errors"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/quorate/quorate/pkg/witness"
)

// parseKubeconfig reads a kubeconfig that came from a Secret. What would run programs or read files of this host as root, or speak to
// a server whose identity nobody checks, is refused.
func parseKubeconfig(raw []byte) (*rest.Config, error) {
	config, err := clientcmd.Load(raw)
	if err != nil {
		return nil, refuse(err)
	}
	current, ok := config.Contexts[config.CurrentContext]
	if !ok {
		return nil, refuse(fmt.Errorf("it has no context %q (current-context)", config.CurrentContext))
	}
	cluster, user := config.Clusters[current.Cluster], config.AuthInfos[current.AuthInfo]
	if cluster == nil {
		return nil, refuse(fmt.Errorf("it has no cluster %q", current.Cluster))
	}
	if user == nil {
		user = clientcmdapi.NewAuthInfo()
	}
	if err := errors.Join(checkCluster(cluster), checkUser(user)); err != nil {
		return nil, refuse(err)
	}
	rc, err := clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, refuse(err)
	}
	return rc, nil
}

func refuse(err error) error {
	return fmt.Errorf("%w: the kubeconfig in the Secret (key kubeconfig) cannot be used: %w", witness.ErrRefused, err)
}

func checkCluster(c *clientcmdapi.Cluster) error {
	var errs []error
	if c.CertificateAuthority != "" {
		errs = append(errs, errors.New("certificate-authority names a file: use certificate-authority-data"))
	}
	if c.InsecureSkipTLSVerify {
		errs = append(errs, errors.New("insecure-skip-tls-verify is set: anybody could play the witness; use certificate-authority-data"))
	}
	if len(c.Server) < 8 || c.Server[:8] != "https://" {
		errs = append(errs, fmt.Errorf("server %q does not begin with https://", c.Server))
	}
	return errors.Join(errs...)
}

func checkUser(u *clientcmdapi.AuthInfo) error {
	var errs []error
	for field, set := range map[string]bool{
		"client-certificate": u.ClientCertificate != "",
		"client-key":         u.ClientKey != "",
		"tokenFile":          u.TokenFile != "",
	} {
		if set {
			errs = append(errs, fmt.Errorf("user's %s names a file: put the data itself into the kubeconfig", field))
		}
	}
	if u.Exec != nil || u.AuthProvider != nil {
		errs = append(errs, errors.New("user's exec or auth-provider would run a program on every host: use a token or a client certificate"))
	}
	return errors.Join(errs...)
}
