package policy

import (
	"testing"

	"github.com/quorate/quorate/pkg/model"
)

func TestUnsafeFencing(t *testing.T) {
	tests := map[string]struct {
		group model.Group
		node  model.Node
		want  bool
	}{
		"an empty group":                       {model.Group{}, model.Node{}, false},
		"nothing at all":                       {model.Group{ResourceCount: 1}, model.Node{}, true},
		"a watchdog":                           {model.Group{ResourceCount: 1, NeedsFencing: true}, model.Node{Watchdog: true}, false},
		"power that others can cut":            {model.Group{ResourceCount: 1, NeedsFencing: true}, model.Node{PowerFencing: true}, false},
		"guarded addresses":                    {model.Group{ResourceCount: 1}, model.Node{GuardsAddresses: true}, false},
		"a disk":                               {model.Group{ResourceCount: 1, Disks: []string{"d"}}, model.Node{}, false},
		"something beside disks and addresses": {model.Group{ResourceCount: 1, Disks: []string{"d"}, NeedsFencing: true}, model.Node{GuardsAddresses: true}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := UnsafeFencing(&tc.group, &tc.node); got != tc.want {
				t.Errorf("UnsafeFencing = %t, want %t", got, tc.want)
			}
		})
	}
}

func TestReleased(t *testing.T) {
	owner := model.Owner{Node: "a", ID: 1, Generation: 1, Epoch: 1}
	tests := map[string]struct {
		group model.Group
		want  bool
	}{
		"never assigned":         {model.Group{}, true},
		"assigned":               {model.Group{Assignment: model.Assignment{Node: "a", ID: 1, Generation: 1, Epoch: 1}}, false},
		"withdrawn":              {model.Group{Assignment: model.Assignment{Epoch: 2, Unproven: []model.Owner{owner}}}, false},
		"withdrawn and settled":  {model.Group{Assignment: model.Assignment{Epoch: 2}}, true},
		"runs all the same":      {model.Group{Assignment: model.Assignment{Epoch: 2}, Reports: []model.OwnerReport{{ID: 1, Running: 3}}}, false},
		"an old report is stale": {model.Group{Assignment: model.Assignment{Epoch: 4}, Reports: []model.OwnerReport{{ID: 1, Running: 3}}}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Released(&tc.group); got != tc.want {
				t.Errorf("Released = %t, want %t", got, tc.want)
			}
		})
	}
}
