package lease

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/swap"
)

// annotation holds the document.
const annotation = "quorate.io/witness"

// store is the swap.Store in a Lease. It is used by one call at a time.
type store struct {
	// name is for messages, server too.
	name, server string
	leaseName    string
	leases       coordination.LeaseInterface
	configMaps   core.ConfigMapInterface

	// read is the Lease as it was read or written last; nil if it is not there.
	read *coordinationv1.Lease
	// tidied is the version of the state up to which older ones were removed.
	tidied uint64
}

var _ swap.Store = (*store)(nil)

func (s *store) Name() string { return "Lease " + s.name }

func (s *store) Close() error { return nil }

// Read gets the Lease. An API server answers such a request from what a majority of its store has, so it is not older than the last
// swap.
func (s *store) Read(ctx context.Context) (swap.Document, error) {
	l, err := s.leases.Get(ctx, s.leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.read = nil
		return swap.Document{}, nil
	}
	if err != nil {
		return swap.Document{}, s.translate("reading", err)
	}
	raw, ok := l.Annotations[annotation]
	if !ok && l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != "" {
		return swap.Document{}, fmt.Errorf("%w: Lease %s at %s is held by %s: name a Lease that nobody uses", witness.ErrInUse, s.name, s.server,
			*l.Spec.HolderIdentity)
	}
	s.read = l
	d := swap.Document{ID: identity(l.UID), Version: swap.Version(l.ResourceVersion)}
	if ok {
		d.Raw = []byte(raw)
	}
	return d, nil
}

// identity of a Lease: one that is deleted and made again is another witness.
func identity(uid types.UID) uint64 {
	sum := sha256.Sum256([]byte(uid))
	return max(1, binary.BigEndian.Uint64(sum[:8]))
}

// Swap creates the Lease, or updates it at the version that was read.
func (s *store) Swap(ctx context.Context, old swap.Version, raw []byte, note swap.Note) error {
	if old == "" {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: s.leaseName}}
		s.fill(l, raw, note)
		return s.swapped(s.leases.Create(ctx, l, metav1.CreateOptions{}))
	}
	if s.read == nil || s.read.ResourceVersion != string(old) {
		return errNotRead
	}
	l := s.read.DeepCopy()
	s.fill(l, raw, note)
	return s.swapped(s.leases.Update(ctx, l, metav1.UpdateOptions{}))
}

func (s *store) swapped(l *coordinationv1.Lease, err error) error {
	switch {
	case err == nil:
		s.read = l
		return nil
	case namespaceMissing(err):
		return s.translate("making", err)
	case changed(err):
		return swap.ErrChanged
	}
	return s.translate("writing", err)
}

// namespaceMissing tells a missing namespace from a missing Lease.
func namespaceMissing(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "namespaces"
}

// fill writes the document, and for people who holds it.
func (s *store) fill(l *coordinationv1.Lease, raw []byte, note swap.Note) {
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	l.Annotations[annotation] = string(raw)
	now := metav1.NewMicroTime(time.Now())
	holder := ""
	if note.Holder != 0 {
		holder = fmt.Sprintf("node-%d", note.Holder)
	}
	if before := l.Spec.HolderIdentity; before == nil || *before != holder {
		l.Spec.HolderIdentity = &holder
		l.Spec.AcquireTime = &now
		var transitions int32
		if before := l.Spec.LeaseTransitions; before != nil {
			transitions = *before
		}
		transitions++
		l.Spec.LeaseTransitions = &transitions
	}
	if note.Renewed {
		l.Spec.RenewTime = &now
	}
}
