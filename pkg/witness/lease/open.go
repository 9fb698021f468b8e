package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/swap"
)

// callTimeout bounds one request, for calls whose context does not end before.
const callTimeout = 10 * time.Second

// Options of a Lease witness.
type Options struct {
	// Kubeconfig to reach the other cluster with, as the Secret holds it.
	Kubeconfig []byte
	// Namespace and Name of the Lease. The Lease is made if it is not there; the namespace is not.
	Namespace, Name string
	// Cluster is this cluster's id.
	Cluster uint64
}

// Open returns the witness in a Lease. It speaks to nobody yet.
func Open(_ context.Context, o Options) (witness.Device, error) {
	config, err := parseKubeconfig(o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Timeout = callTimeout
	config.UserAgent = "quorate-agent"
	// The agent does one call at a time and the holder's is not to wait: no limit of our own.
	config.QPS = -1
	leases, err := coordination.NewForConfig(config)
	if err != nil {
		return nil, refuse(err)
	}
	configMaps, err := core.NewForConfig(config)
	if err != nil {
		return nil, refuse(err)
	}
	s := &store{
		name: o.Namespace + "/" + o.Name, leaseName: o.Name, server: config.Host,
		leases: leases.Leases(o.Namespace), configMaps: configMaps.ConfigMaps(o.Namespace),
	}
	return swap.New(s, o.Cluster), nil
}

// translate gives an error of the API its name in pkg/witness.
func (s *store) translate(doing string, err error) error {
	kind, hint := witness.ErrUnreachable, ""
	switch {
	case apierrors.IsUnauthorized(err):
		kind, hint = witness.ErrRefused, ": renew the credential in the Secret"
	case apierrors.IsForbidden(err):
		kind, hint = witness.ErrRefused, ": its user must be allowed to get, create and update leases, and to get, list, create and delete "+
			"configmaps, in that namespace"
	case apierrors.IsNotFound(err):
		kind, hint = witness.ErrAbsent, ": make the namespace"
	case apierrors.IsInvalid(err), apierrors.IsRequestEntityTooLargeError(err):
		kind = witness.ErrRefused
	}
	return fmt.Errorf("%w: %s Lease %s at %s: %w%s", kind, doing, s.name, s.server, err, hint)
}

// changed says that the object is not at the version that was read, or is there or gone unexpectedly.
func changed(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

var errNotRead = errors.New("a Lease is swapped at the version that was read last")
