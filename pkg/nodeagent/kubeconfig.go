package nodeagent

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// kubeconfigInSecret is the data key of the Secret that a Lease witness names.
const kubeconfigInSecret = "kubeconfig"

// kubeconfig is the credential of a Lease witness, as it was last read.
type kubeconfig struct {
	ref     v1alpha1.SecretReference
	content []byte
	// at is when it was read, tried when it was last asked for.
	at, tried time.Duration
}

// refreshKubeconfig reads the credential of a Lease witness again from time to time. Without an answer the one that is known stays.
func (e *enrolment) refreshKubeconfig(ctx context.Context, k *keeper, w *world, q *v1alpha1.QuorumConfig) {
	if q == nil || q.Spec.Witness == nil || q.Spec.Witness.Lease == nil {
		e.kubeconfig = kubeconfig{}
		k.problems.one(problemKubeconfig, "", "")
		return
	}
	c, ref := &e.kubeconfig, q.Spec.Witness.Lease.KubeconfigSecretRef
	if before := e.current(); c.content == nil && before != nil && before.Witness != nil {
		c.content = before.Witness.Kubeconfig // of an agent before this one
	}
	if c.tried != 0 && ref == c.ref && e.now() < max(c.at+keyRefresh, c.tried+keyRetry) {
		return
	}
	k.lookAgain(keyRefresh)
	c.tried = e.now()
	content, err := w.kubeconfig(ctx, ref)
	if err != nil {
		k.problems.one(problemKubeconfig, ref.Namespace+"/"+ref.Name, err.Error())
		k.lookAgain(keyRetry)
		return
	}
	k.problems.one(problemKubeconfig, "", "")
	c.ref, c.content, c.at = ref, content, c.tried
}

// kubeconfig reads the credential of a Lease witness from its Secret.
func (w *world) kubeconfig(ctx context.Context, ref v1alpha1.SecretReference) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, directTimeout)
	defer cancel()
	var secret corev1.Secret
	if err := w.direct.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &secret); err != nil {
		return nil, fmt.Errorf("reading the witness's kubeconfig from Secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	content := secret.Data[kubeconfigInSecret]
	if len(content) == 0 {
		return nil, fmt.Errorf("the Secret %s/%s has no data key %q, which a Lease witness needs", ref.Namespace, ref.Name, kubeconfigInSecret)
	}
	return content, nil
}
