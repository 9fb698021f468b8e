package nodeagent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// TestKeepVoters: a Node whose object is gone stays a peer as long as a record or the view has it, or the others would lose the grant
// that their quorum needs.
func TestKeepVoters(t *testing.T) {
	nodes := func(ids ...model.NodeID) []NodeSettings {
		var all []NodeSettings
		for _, id := range ids {
			all = append(all, NodeSettings{ID: id})
		}
		return all
	}
	record := func(voters ...model.NodeID) *quorum.Record { return &quorum.Record{Number: 1, Voters: voters} }
	view := func(ids ...model.NodeID) *membership.View {
		v := &membership.View{}
		for _, id := range ids {
			v.Members = append(v.Members, model.Member{ID: id})
		}
		return v
	}
	committed, tentative, viewed := &standing{}, &standing{}, &standing{}
	committed.Committed, tentative.Tentative, viewed.View = record(1, 2), record(1, 2), view(1, 2)
	for name, tc := range map[string]struct {
		before *Settings
		now    *standing
		wanted []NodeSettings
		want   []NodeSettings
	}{
		"nothing before":          {nil, &standing{}, nodes(1, 2), nodes(1, 2)},
		"gone and in no record":   {&Settings{Nodes: nodes(1, 2, 3)}, committed, nodes(1, 2), nodes(1, 2)},
		"gone, but a voter":       {&Settings{Nodes: nodes(1, 2)}, committed, nodes(2), nodes(1, 2)},
		"gone, but tentatively":   {&Settings{Nodes: nodes(1, 2)}, tentative, nodes(2), nodes(1, 2)},
		"gone, but in the view":   {&Settings{Nodes: nodes(1, 2)}, viewed, nodes(2), nodes(1, 2)},
		"a voter that still is":   {&Settings{Nodes: nodes(1, 2)}, committed, nodes(1, 2), nodes(1, 2)},
		"a new one beside a gone": {&Settings{Nodes: nodes(1, 2)}, committed, nodes(2, 3), nodes(1, 2, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Settings{Nodes: tc.wanted}
			s.keepVoters(tc.before, tc.now)
			if diff := cmp.Diff(tc.want, s.Nodes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
