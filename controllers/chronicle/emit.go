package chronicle

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/quorate/quorate/pkg/status"
)

// Name is the reporting controller of all Events.
const Name = "quorate-manager"

// Emit writes the events about an object. It returns at once.
func Emit(recorder events.EventRecorder, about runtime.Object, list []status.Event) {
	for _, e := range list {
		kind := corev1.EventTypeNormal
		if e.Warning {
			kind = corev1.EventTypeWarning
		}
		recorder.Eventf(about, nil, kind, e.Reason, e.Action, "%s", e.Note)
	}
}
