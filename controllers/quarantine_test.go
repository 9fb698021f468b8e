package controllers_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// TestQuarantine is A43 on a real API server: the third death of a host within an hour quarantines its node, the groups go round it, and
// it takes groups again when an operator says so, or two hours later. A manager that dies meanwhile changes nothing.
func TestQuarantine(t *testing.T) {
	w := controllertest.NewWorld(t, env, "quarantine", "quar-a", "quar-b", "quar-c")
	g := w.Group("shop", 1, "quar-a", "quar-b")
	w.Update(g, func() { g.Spec.Failback.Policy = v1alpha1.FailbackImmediate })
	owner := func(want string) {
		t.Helper()
		w.Settle()
		if a := w.G("shop").Status.Assignment; a.Node != want {
			t.Fatalf("the group is on %q, want %s", a.Node, want)
		}
	}
	flap := func(crash int64) {
		t.Helper()
		w.Step(time.Minute)
		w.Kill("quar-a")
		w.View("quar-b", "quar-c")
		w.SettleWithCrash(crash)
		owner("quar-b")
		w.Boot("quar-a")
		w.View("quar-a", "quar-b", "quar-c")
		w.Settle()
	}
	quarantined := func() bool {
		return meta.IsStatusConditionTrue(w.Node("quar-a").Status.Conditions, v1alpha1.NodeConditionQuarantined)
	}
	annotate := func(value string) {
		t.Helper()
		n := w.Node("quar-a")
		before := n.DeepCopy()
		n.Annotations = map[string]string{v1alpha1.ClearQuarantineAnnotation: value}
		if err := w.Env.Admin.Patch(t.Context(), n, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		if n := w.Node("quar-a"); len(n.Annotations) != 0 {
			t.Errorf("annotations %v", n.Annotations)
		}
	}

	owner("quar-a")
	flap(0)
	owner("quar-a") // twice it comes back
	flap(1)
	owner("quar-a")
	told(w)
	flap(2)
	owner("quar-b") // the third time the group stays away (A32)
	n := w.Node("quar-a")
	if !quarantined() || len(n.Status.UngracefulExits) != 3 || n.Status.Quarantine == nil || n.Status.Quarantine.Until == nil ||
		n.Status.State != v1alpha1.NodeUp {
		t.Fatalf("status %+v", n.Status)
	}
	if until := n.Status.Quarantine.Until.Sub(w.Clock.Now()); until != 2*time.Hour {
		t.Errorf("it lasts %s", until)
	}
	if events := told(w); strings.Count(events, "NodeQuarantined") > 1 {
		t.Errorf("events %q", events)
	}

	annotate("maybe")
	if events := told(w); !quarantined() || !strings.Contains(events, "ClearQuarantineRefused") {
		t.Errorf("quarantined %t, events %q", quarantined(), events)
	}
	annotate("yes/incident-17")
	if events := told(w); quarantined() || !strings.Contains(events, "QuarantineEnded") {
		t.Errorf("quarantined %t, events %q", quarantined(), events)
	}
	owner("quar-a")

	// Three more, and the time heals them; the token that has acted does not.
	for range 3 {
		flap(0)
	}
	annotate("yes/incident-17")
	if !quarantined() {
		t.Error("a token acts twice")
	}
	owner("quar-b")
	w.Step(2*time.Hour - time.Second)
	owner("quar-b")
	w.Step(time.Second)
	owner("quar-a")
	if quarantined() || w.Node("quar-a").Status.Quarantine.Until != nil {
		t.Errorf("still quarantined: %+v", w.Node("quar-a").Status.Quarantine)
	}
}
