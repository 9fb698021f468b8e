package controllers_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
	"github.com/quorate/quorate/pkg/replay"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/whatif"
)

// predict says where the what-if puts the groups after the events, from what the API server has.
func predict(t *testing.T, w *controllertest.World, events ...string) map[string]string {
	t.Helper()
	var list []whatif.Event
	for _, text := range events {
		e, err := whatif.ParseEvent(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	o := w.Objects()
	if wrong := whatif.Prepare(o, list); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	result, err := whatif.New(whatif.Options{Objects: o, Now: w.Clock.Now(), Live: true}).Run(list)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Steps[0].Actions) > 0 || !result.Steps[0].Quorate {
		t.Fatalf("a cluster at rest: %+v", result.Steps[0])
	}
	return result.Placement
}

// owners says where the groups really are.
func owners(w *controllertest.World) map[string]string {
	at := map[string]string{}
	for _, g := range w.Groups() {
		if g.Status.Owner != "" && string(g.Status.State) == "Online" {
			at[snapshot.Key(&g).String()] = g.Status.Owner
		}
	}
	return at
}

// TestWhatIfComesTrue asks, of a live cluster, what would happen if a node died, came back, was drained or a group was moved; then lets it
// happen, with the real controllers on a real API server, and compares.
func TestWhatIfComesTrue(t *testing.T) {
	w := controllertest.NewWorld(t, env, "whatif", "whatif-a", "whatif-b", "whatif-c")
	w.Group("shop", 1, "whatif-a", "whatif-b")
	w.Group("news", 2, "whatif-b", "whatif-a")
	w.Group("blog", 3, "whatif-c")
	w.Group("wiki", 4)
	w.Settle()
	for _, tc := range []struct {
		event string
		do    func()
	}{
		{"node-down=whatif-a", func() {
			w.Kill("whatif-a")
			w.View("whatif-b", "whatif-c")
		}},
		{"move=whatif/shop:whatif-c", func() {
			g := w.G("shop")
			w.Update(g, func() { g.Annotations = map[string]string{v1alpha1.MoveToAnnotation: "whatif-c"} })
		}},
		{"drain=whatif-b", func() {
			n := w.Node("whatif-b")
			w.Update(n, func() { n.Spec.Availability = v1alpha1.AvailabilityDrained })
		}},
	} {
		predicted, before := predict(t, w, tc.event), owners(w)
		w.Step(time.Minute)
		tc.do()
		w.Settle()
		if diff := cmp.Diff(predicted, owners(w)); diff != "" {
			t.Fatalf("%s (-predicted +real):\n%s", tc.event, diff)
		}
		if maps.Equal(before, owners(w)) {
			t.Errorf("%s moves nothing: the case shows nothing", tc.event)
		}
	}
	if len(w.Kept) == 0 {
		t.Fatal("no decision was kept")
	}
	for _, r := range w.Kept {
		if _, differences := r.Replay(); len(differences) > 0 || !replay.Moves(r.Decisions) {
			t.Errorf("the kept decision of %s, made again, differs: %+v", r.Time, differences)
		}
	}
}
