package lease

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/swap"
)

const (
	// chunk is how much of a state one ConfigMap holds; one may hold 1 MiB in all.
	chunk = 768 << 10
	// dataKey is its key in the ConfigMap.
	dataKey = "state"
	// leaseLabel says whose state a ConfigMap holds: the Lease's uid. versionLabel says which.
	leaseLabel   = "quorate.io/witness-lease"
	versionLabel = "quorate.io/witness-state-version"
)

// chunkName names a part of a state by what it holds, so that a late writer can only write the same.
func (s *store) chunkName(ref swap.StateRef, n int) string {
	return fmt.Sprintf("%s-%d-%.16s-%d", s.leaseName, ref.Version, ref.Sum, n)
}

func chunks(ref swap.StateRef) int { return (ref.Size + chunk - 1) / chunk }

// ReadState puts a state together.
func (s *store) ReadState(ctx context.Context, ref swap.StateRef) ([]byte, error) {
	var state []byte
	for n := range chunks(ref) {
		m, err := s.configMaps.Get(ctx, s.chunkName(ref, n), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, swap.ErrNoState
		}
		if err != nil {
			return nil, s.translate("reading the state of", err)
		}
		state = append(state, m.BinaryData[dataKey]...)
	}
	return state, nil
}

// WriteState makes the ConfigMaps of a state. They go with the Lease when it is deleted.
func (s *store) WriteState(ctx context.Context, ref swap.StateRef, data []byte) error {
	if s.read == nil {
		return errNotRead
	}
	immutable := true
	for n := range chunks(ref) {
		part := data[n*chunk : min(len(data), (n+1)*chunk)]
		m := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Name:   s.chunkName(ref, n),
				Labels: map[string]string{leaseLabel: string(s.read.UID), versionLabel: strconv.FormatUint(ref.Version, 10)},
				OwnerReferences: []metav1.OwnerReference{{
					APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Name: s.leaseName, UID: s.read.UID,
				}},
			},
			Immutable:  &immutable,
			BinaryData: map[string][]byte{dataKey: part},
		}
		_, err := s.configMaps.Create(ctx, m, metav1.CreateOptions{})
		switch {
		case err == nil:
		case apierrors.IsAlreadyExists(err):
			if err := s.sameChunk(ctx, m); err != nil {
				return err
			}
		default:
			return s.translate("writing the state of", err)
		}
	}
	return nil
}

// sameChunk accepts a ConfigMap that an earlier try made. One of another Lease with the same name may linger; it goes when garbage is
// collected.
func (s *store) sameChunk(ctx context.Context, want *corev1.ConfigMap) error {
	got, err := s.configMaps.Get(ctx, want.Name, metav1.GetOptions{})
	if err != nil {
		return s.translate("reading the state of", err)
	}
	if !bytes.Equal(got.BinaryData[dataKey], want.BinaryData[dataKey]) || got.Labels[leaseLabel] != want.Labels[leaseLabel] {
		return fmt.Errorf("%w: ConfigMap %s is in the way of the state of Lease %s: delete it", witness.ErrInUse, want.Name, s.name)
	}
	return nil
}

// Tidy removes the ConfigMaps of older states, once after each new one.
func (s *store) Tidy(ctx context.Context, present swap.StateRef) {
	if s.read == nil || present.Version <= s.tidied {
		return
	}
	list, err := s.configMaps.List(ctx, metav1.ListOptions{LabelSelector: leaseLabel + "=" + string(s.read.UID)})
	if err != nil {
		return
	}
	for i := range list.Items {
		version, err := strconv.ParseUint(list.Items[i].Labels[versionLabel], 10, 64)
		if err != nil || version >= present.Version {
			continue
		}
		if err := s.configMaps.Delete(ctx, list.Items[i].Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return
		}
	}
	s.tidied = present.Version
}
