package chronicle

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/quorate/quorate/pkg/status"
)

// Past records what happened to an object at a time before now. key is unique to what happened: recording it again changes nothing.
type Past func(ctx context.Context, about client.Object, key string, at time.Time, list []status.Event) error

// NewPast records by writing Events of their own time, which the client-go recorder cannot.
func NewPast(c client.Client, instance string) Past {
	return func(ctx context.Context, about client.Object, key string, at time.Time, list []status.Event) error {
		kind, err := apiutil.GVKForObject(about, c.Scheme())
		if err != nil {
			return fmt.Errorf("recording what happened to %s/%s: %w", about.GetNamespace(), about.GetName(), err)
		}
		// Events of an object without a namespace are in the default one.
		namespace := cmp.Or(about.GetNamespace(), metav1.NamespaceDefault)
		for i, e := range list {
			sum := sha256.Sum256([]byte(string(about.GetUID()) + " " + key + " " + strconv.Itoa(i)))
			event := &eventsv1.Event{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: namespace, Name: about.GetName() + "." + hex.EncodeToString(sum[:8]),
				},
				EventTime: metav1.NewMicroTime(at), ReportingController: Name, ReportingInstance: instance,
				Action: e.Action, Reason: e.Reason, Note: e.Note, Type: corev1.EventTypeNormal,
				Regarding: corev1.ObjectReference{
					APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: about.GetNamespace(), Name: about.GetName(),
					UID: about.GetUID(), ResourceVersion: about.GetResourceVersion(),
				},
			}
			if e.Warning {
				event.Type = corev1.EventTypeWarning
			}
			if err := c.Create(ctx, event); client.IgnoreAlreadyExists(err) != nil {
				return fmt.Errorf("recording what happened to %s/%s: %w", about.GetNamespace(), about.GetName(), err)
			}
		}
		return nil
	}
}
