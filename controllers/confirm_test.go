package controllers_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// told gathers the events that were told since the last call.
func told(w *controllertest.World) string {
	var all strings.Builder
	for {
		select {
		case e := <-w.Events.Events:
			all.WriteString(e + "\n")
		default:
			return all.String()
		}
	}
}

// TestConfirmOff: an operator says with annotations that a dead node is off. It is written down and the annotations go, even if the
// manager dies in between; what cannot be so is refused with an Event.
func TestConfirmOff(t *testing.T) {
	w := controllertest.NewWorld(t, env, "confirm", "confirm-a", "confirm-b", "confirm-c")
	annotate := func(value, reason string) {
		n := w.Node("confirm-a")
		before := n.DeepCopy()
		n.Annotations = map[string]string{v1alpha1.ConfirmOffAnnotation: value, v1alpha1.ConfirmOffReasonAnnotation: reason, v1alpha1.ConfirmOffByAnnotation: "admin"}
		if err := w.Env.Admin.Patch(t.Context(), n, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(value, why string) {
		t.Helper()
		told(w)
		annotate(value, "unplugged")
		w.Settle()
		n := w.Node("confirm-a")
		if events := told(w); !strings.Contains(events, "ConfirmOffRefused") || !strings.Contains(events, why) {
			t.Errorf("events %q, want a refusal with %q", events, why)
		}
		if n.Status.Fencing != nil || len(n.Annotations) != 0 {
			t.Errorf("fencing %+v, annotations %v", n.Status.Fencing, n.Annotations)
		}
	}
	refused("1", "it is alive")
	w.Kill("confirm-a")
	w.View("confirm-b", "confirm-c")
	w.Settle()
	refused("2", "the node's last is 1")

	told(w)
	annotate("1/incident-17", "I saw it unplugged")
	w.SettleWithCrash(1)
	n := w.Node("confirm-a")
	f := n.Status.Fencing
	if f == nil || f.Generation != 1 || f.Proof != v1alpha1.ProofManualConfirmation || f.By != "admin" || f.Reason != "I saw it unplugged" ||
		f.Token != "incident-17" || f.Time == nil || len(n.Annotations) != 0 {
		t.Errorf("fencing %+v, annotations %v", f, n.Annotations)
	}
	if events := told(w); strings.Count(events, "ConfirmedOff") != 1 || !strings.Contains(events, "admin has confirmed that generation 1 is off: I saw it unplugged") {
		t.Errorf("events %q", events)
	}

	// The same again changes nothing.
	annotate("1/incident-18", "once more")
	w.Settle()
	if n := w.Node("confirm-a"); n.Status.Fencing.Token != "incident-17" || len(n.Annotations) != 0 || strings.Contains(told(w), "ConfirmedOff") {
		t.Errorf("a second time: %+v, annotations %v", n.Status.Fencing, n.Annotations)
	}
}
