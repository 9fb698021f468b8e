package witness

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

func record(number uint64, coordinator model.NodeID) *quorum.Record {
	return quorum.NewRecord(number, coordinator, []model.NodeID{1, 2})
}

func TestMerge(t *testing.T) {
	cases := map[string]struct{ a, b, want Content }{
		"nothing": {},
		"higher committed": {
			a: Content{Committed: record(3, 1)}, b: Content{Committed: record(5, 1)}, want: Content{Committed: record(5, 1)},
		},
		"same number, higher coordinator": {
			a: Content{Committed: record(5, 2)}, b: Content{Committed: record(5, 1)}, want: Content{Committed: record(5, 2)},
		},
		"tentative above the other's committed": {
			a: Content{Committed: record(3, 1), Tentative: record(7, 2)}, b: Content{Committed: record(5, 1)},
			want: Content{Committed: record(5, 1), Tentative: record(7, 2)},
		},
		"tentative that was committed since": {
			a: Content{Committed: record(3, 1), Tentative: record(5, 1)}, b: Content{Committed: record(5, 1)},
			want: Content{Committed: record(5, 1)},
		},
		"two tentative": {
			a: Content{Committed: record(3, 1), Tentative: record(5, 1)}, b: Content{Committed: record(3, 1), Tentative: record(6, 1)},
			want: Content{Committed: record(3, 1), Tentative: record(6, 1)},
		},
		"newer state": {
			a: Content{State: []byte("old"), StateVersion: 3}, b: Content{State: []byte("new"), StateVersion: 4},
			want: Content{State: []byte("new"), StateVersion: 4},
		},
		"same version: the first stays": {
			a: Content{State: []byte("a"), StateVersion: 3}, b: Content{State: []byte("b"), StateVersion: 3},
			want: Content{State: []byte("a"), StateVersion: 3},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Merge(tc.a, tc.b)); diff != "" {
				t.Errorf("merged (-want +got):\n%s", diff)
			}
		})
	}
}

func TestContentCheck(t *testing.T) {
	many := make([]model.NodeID, MaxVoters+1)
	for i := range many {
		many[i] = model.NodeID(i + 1)
	}
	good := Content{ClusterID: 7, Committed: quorum.NewRecord(1, 0, many[:MaxVoters]), State: make([]byte, MaxState), StateVersion: 1}
	if err := good.Check(7); err != nil {
		t.Errorf("the largest content: %v", err)
	}
	for name, spoil := range map[string]func(*Content){
		"another cluster's": func(c *Content) { c.ClusterID = 8 },
		"too much state":    func(c *Content) { c.State = make([]byte, MaxState+1) },
		"state unversioned": func(c *Content) { c.StateVersion = 0 },
		"too many voters":   func(c *Content) { c.Tentative = quorum.NewRecord(2, 1, many) },
	} {
		bad := good
		spoil(&bad)
		if bad.Check(7) == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}
