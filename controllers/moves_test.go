package controllers_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

func ask(w *controllertest.World, group, move string) {
	g := w.G(group)
	w.Update(g, func() {
		if g.Annotations == nil {
			g.Annotations = map[string]string{}
		}
		g.Annotations[v1alpha1.MoveToAnnotation] = move
	})
}

// move is what is left of a request.
type move struct {
	Owner      string
	Outcome    v1alpha1.MoveOutcome
	To, Token  string
	Annotation string
	Tokens     []string
}

func lookMove(w *controllertest.World, group string) move {
	g := w.G(group)
	got := move{Owner: g.Status.Owner, Annotation: g.Annotations[v1alpha1.MoveToAnnotation], Tokens: g.Status.UsedMoveTokens}
	if last := g.Status.LastMove; last != nil {
		got.Outcome, got.To, got.Token = last.Outcome, last.To, last.Token
	}
	return got
}

func TestMove(t *testing.T) {
	cases := map[string]struct {
		ask  []string // one after the other
		want move
	}{
		"to a node":                   {ask: []string{"move-b"}, want: move{Owner: "move-b", Outcome: v1alpha1.MoveCompleted, To: "move-b"}},
		"to the best":                 {ask: []string{"move-b", "best"}, want: move{Owner: "move-a", Outcome: v1alpha1.MoveCompleted, To: "move-a"}},
		"there and back":              {ask: []string{"move-b", "move-a"}, want: move{Owner: "move-a", Outcome: v1alpha1.MoveCompleted, To: "move-a"}},
		"with a token":                {ask: []string{"move-b/1"}, want: move{Owner: "move-b", Outcome: v1alpha1.MoveCompleted, To: "move-b", Token: "1", Tokens: []string{"1"}}},
		"with a token that was used":  {ask: []string{"move-b/1", "move-a", "move-b/1"}, want: move{Owner: "move-a", Outcome: v1alpha1.MoveCompleted, To: "move-a", Annotation: "move-b/1", Tokens: []string{"1"}}},
		"to a node that is not there": {ask: []string{"elsewhere"}, want: move{Owner: "move-a", Outcome: v1alpha1.MoveRefused, To: "elsewhere"}},
		"to where it is":              {ask: []string{"move-a"}, want: move{Owner: "move-a", Outcome: v1alpha1.MoveCompleted, To: "move-a"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := controllertest.NewWorld(t, env, "move-"+word(name), "move-a", "move-b")
			w.Group("shop", 1, "move-a", "move-b")
			w.Settle()
			for _, request := range tc.ask {
				w.Step(time.Minute)
				ask(w, "shop", request)
				w.Settle()
			}
			if diff := cmp.Diff(tc.want, lookMove(w, "shop")); diff != "" {
				t.Errorf("(-want +got):\n%s%+v", diff, w.G("shop").Status)
			}
			if state := w.G("shop").Status.State; state != v1alpha1.GroupOnline {
				t.Errorf("group is %s", state)
			}
		})
	}
}

// word makes a name of a namespace out of a test's name.
func word(name string) string {
	out := make([]rune, 0, len(name))
	for _, r := range name {
		if r == ' ' {
			r = '-'
		}
		out = append(out, r)
	}
	return string(out)
}

// TestMoveIsMadeOnce: the manager dies at any of its writes; the group is moved once all the same.
func TestMoveIsMadeOnce(t *testing.T) {
	w := controllertest.NewWorld(t, env, "once", "once-a", "once-b")
	w.Group("shop", 1, "once-a", "once-b")
	w.Settle()
	for k := int64(1); ; k++ {
		epoch, target := w.G("shop").Status.Assignment.Epoch, "once-b"
		if w.G("shop").Status.Owner == target {
			target = "once-a"
		}
		w.Step(time.Minute)
		ask(w, "shop", target)
		died := w.SettleWithCrash(k)
		got := w.G("shop")
		if got.Status.Owner != target || got.Status.State != v1alpha1.GroupOnline || got.Annotations[v1alpha1.MoveToAnnotation] != "" ||
			got.Status.LastMove.Outcome != v1alpha1.MoveCompleted {
			t.Errorf("death at write %d: %+v", k, got.Status)
		}
		// A withdrawal and an assignment: two epochs, never four.
		if got.Status.Assignment.Epoch != epoch+2 {
			t.Errorf("death at write %d: epoch grew from %d to %d", k, epoch, got.Status.Assignment.Epoch)
		}
		if !died {
			break
		}
	}
}
