package lifecycle

import (
	"testing"

	"github.com/quorate/quorate/pkg/model"
)

// TestJudge is every answer to an assignment, for node 1 in its generation 3, which acts in view 7 and has since view 5.
func TestJudge(t *testing.T) {
	mine := model.Assignment{Node: "a", ID: 1, Generation: 3, Epoch: 4, View: model.ViewID{Number: 7, Coordinator: 1}}
	other := model.Assignment{Node: "b", ID: 2, Generation: 3, Epoch: 4, View: model.ViewID{Number: 7, Coordinator: 1}}
	usual := Standing{Self: model.Member{ID: 1, Generation: 3}, Acting: model.ViewID{Number: 7, Coordinator: 1}, Since: 5}
	listed := func(id model.NodeID, life model.Generation) func(*model.Assignment, *Standing) {
		return func(a *model.Assignment, _ *Standing) {
			a.Unproven = []model.Owner{{Node: "x", ID: id, Generation: life, Epoch: 3}}
		}
	}
	tests := map[string]struct {
		of   model.Assignment
		edit func(a *model.Assignment, s *Standing)
		want Verdict
	}{
		"its own":                  {mine, nil, VerdictRun},
		"never assigned":           {mine, func(a *model.Assignment, _ *Standing) { a.Epoch = 0 }, VerdictNone},
		"the last epoch":           {mine, func(a *model.Assignment, _ *Standing) { a.Epoch = model.MaxEpoch }, VerdictRun},
		"an epoch past the last":   {mine, func(a *model.Assignment, _ *Standing) { a.Epoch = model.MaxEpoch + 1 }, VerdictNone},
		"an earlier life's (O3)":   {mine, func(a *model.Assignment, _ *Standing) { a.Generation = 2 }, VerdictNone},
		"a later life's":           {mine, func(a *model.Assignment, s *Standing) { a.Generation, s.Known = 4, true }, VerdictNone},
		"another node's":           {other, nil, VerdictNone},
		"another's, it ran here":   {other, func(_ *model.Assignment, s *Standing) { s.Known = true }, VerdictStop},
		"withdrawn, it ran here":   {mine, func(a *model.Assignment, s *Standing) { a.Node, s.Known = "", true }, VerdictStop},
		"withdrawn from it (O1)":   {other, listed(1, 3), VerdictStop},
		"withdrawn from its past":  {other, listed(1, 2), VerdictNone},
		"withdrawn from another":   {other, listed(2, 3), VerdictNone},
		"does not act":             {mine, func(_ *model.Assignment, s *Standing) { s.Acting = model.ViewID{} }, VerdictWait},
		"a later view (R10)":       {mine, func(a *model.Assignment, _ *Standing) { a.View.Number = 8 }, VerdictWait},
		"an earlier view":          {mine, func(a *model.Assignment, _ *Standing) { a.View.Number = 6 }, VerdictRun},
		"the view it began in":     {mine, func(a *model.Assignment, _ *Standing) { a.View.Number = 5 }, VerdictRun},
		"before it began":          {mine, func(a *model.Assignment, _ *Standing) { a.View.Number = 4 }, VerdictOld},
		"before, but obeyed":       {mine, func(a *model.Assignment, s *Standing) { a.View.Number, s.Obeyed = 4, 4 }, VerdictRun},
		"before, and above it":     {mine, func(a *model.Assignment, s *Standing) { a.View.Number, s.Obeyed = 4, 3 }, VerdictOld},
		"before, no epoch after":   {mine, func(a *model.Assignment, _ *Standing) { a.View.Number, a.Epoch = 4, model.MaxEpoch }, VerdictRun},
		"a stop from before it":    {other, func(a *model.Assignment, s *Standing) { a.View.Number, s.Known = 4, true }, VerdictStop},
		"a stop from a later view": {other, func(a *model.Assignment, s *Standing) { a.View.Number, s.Known = 8, true }, VerdictWait},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a, s := tc.of, usual
			if tc.edit != nil {
				tc.edit(&a, &s)
			}
			if got := Judge(&a, s); got != tc.want {
				t.Errorf("Judge = %s, want %s", got, tc.want)
			}
		})
	}
}
