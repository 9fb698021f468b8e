package quorum

import (
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
)

// TestMajoritiesMeet is the theorem that all else stands on: two quorate sets under one record share a node, and of two that
// share none at most one is quorate with the witness.
func TestMajoritiesMeet(t *testing.T) {
	meet := func(n uint8, a, b uint16, witness bool) bool {
		voters := make([]model.NodeID, 0, n%9)
		for id := range model.NodeID(n % 9) {
			voters = append(voters, id+1)
		}
		r := NewRecord(1, 0, voters)
		if witness {
			r.Witness = 1
		}
		in := func(set uint16) func(model.NodeID) bool {
			return func(id model.NodeID) bool { return set&(1<<id) != 0 }
		}
		if a&b != 0 {
			b &^= a
		}
		// One of them holds the witness at most.
		return !r.Quorate(in(a), true) || !r.Quorate(in(b), false)
	}
	if err := quick.Check(meet, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

func TestCompareAndEqual(t *testing.T) {
	low, high := NewRecord(3, 1, []model.NodeID{1, 2}), NewRecord(4, 1, []model.NodeID{1, 2})
	for name, tc := range map[string]struct {
		a, b  *Record
		order int
		equal bool
	}{
		"both none":               {nil, nil, 0, true},
		"none is lowest":          {nil, low, -1, false},
		"any is above none":       {low, nil, 1, false},
		"by number":               {low, high, -1, false},
		"then by coordinator":     {NewRecord(3, 2, low.Voters), low, 1, false},
		"the same":                {low, low.Clone(), 0, true},
		"same number, not voters": {low, NewRecord(3, 1, []model.NodeID{1}), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.order, Compare(tc.a, tc.b)); diff != "" {
				t.Errorf("Compare (-want +got):\n%s", diff)
			}
			if got := tc.a.Equal(tc.b); got != tc.equal {
				t.Errorf("Equal = %t, want %t", got, tc.equal)
			}
		})
	}
}

func TestCloneSharesNothing(t *testing.T) {
	a := NewRecord(1, 1, []model.NodeID{1, 2})
	b := a.Clone()
	b.Voters[0] = 9
	if a.Voters[0] != 1 {
		t.Error("the clone shares its voters")
	}
	if (*Record)(nil).String() != "none" || (*Record)(nil).HasVoter(1) || (*Record)(nil).FailuresLeft(nil, true) != -1 {
		t.Error("no record is not handled as none")
	}
}

// TestSameVotes looks at the votes alone: numbers say nothing of them, and no record has the votes of none.
func TestSameVotes(t *testing.T) {
	a, b := NewRecord(1, 1, []model.NodeID{1, 2}), NewRecord(2, 2, []model.NodeID{1, 2})
	if !a.SameVotes(b) || a.SameVotes(nil) || (*Record)(nil).SameVotes(a) || !(*Record)(nil).SameVotes(nil) {
		t.Error("the votes of records 1 and 2 are the same, and those of none are not")
	}
	b.WitnessOnly = true
	if a.SameVotes(b) {
		t.Error("WitnessOnly is another vote")
	}
}

// TestNobodyVotes: a witness has no vote beside no voters, or it would be a majority of itself.
func TestNobodyVotes(t *testing.T) {
	r := NewRecord(1, 1, nil)
	r.Witness, r.Forced = 7, true
	if r.WitnessCounts() {
		t.Error("the witness counts beside no voters")
	}
	if got, want := r.String(), "1/1 voters  witness forced"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}
