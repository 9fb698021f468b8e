package status

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/api/v1alpha1"
)

// TestNetworks: what both ends of each pair say is joined; a cut in one direction is a cut.
func TestNetworks(t *testing.T) {
	cases := map[string]struct {
		// heard is what each node says of its peers on network hb: "+b" it hears b, "-b" it does not.
		heard map[string]string
		// away are nodes that do not reach the API server.
		away    string
		want    v1alpha1.NetworkState
		message string
	}{
		"not reported":         {want: v1alpha1.NetworkUnknown},
		"all up":               {heard: map[string]string{"a": "+b +c", "b": "+a +c", "c": "+a +b"}, want: v1alpha1.NetworkUp},
		"one end reports":      {heard: map[string]string{"a": "+b +c"}, want: v1alpha1.NetworkUp},
		"one pair is cut":      {heard: map[string]string{"a": "+b -c", "b": "+a +c", "c": "-a +b"}, want: v1alpha1.NetworkPartitioned, message: "a and c do not hear each other"},
		"cut in one direction": {heard: map[string]string{"a": "+b +c", "b": "+a +c", "c": "-a +b"}, want: v1alpha1.NetworkPartitioned, message: "a and c do not hear each other"},
		"one node is cut off": {
			heard: map[string]string{"a": "+b -c", "b": "+a -c", "c": "-a -b"}, want: v1alpha1.NetworkPartitioned,
			message: "a and c, b and c do not hear each other",
		},
		"all down":                    {heard: map[string]string{"a": "-b -c", "b": "-a -c", "c": "-a -b"}, want: v1alpha1.NetworkDown, message: "no two nodes hear each other"},
		"every direction one way":     {heard: map[string]string{"a": "+b -c", "b": "-a +c", "c": "+a -b"}, want: v1alpha1.NetworkDown, message: "no two nodes hear each other"},
		"a dead node's link":          {heard: map[string]string{"a": "+b -e", "b": "+a -e"}, want: v1alpha1.NetworkUp},
		"old word of one without API": {heard: map[string]string{"a": "+b +c", "b": "+a +c", "c": "-a -b"}, away: "c", want: v1alpha1.NetworkUp},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := objects(true, []int32{1, 2, 3, 5}, 1, 2, 3)
			view := o.View()
			published, _ := o.Published()
			for _, n := range o.Nodes {
				if n.Status.Agent == nil {
					n.Status.Agent = &v1alpha1.AgentStatus{}
				}
				n.Status.Agent.Peers = nil
				for _, word := range strings.Fields(tc.heard[n.Name]) {
					state := map[byte]v1alpha1.LinkState{'+': v1alpha1.LinkUp, '-': v1alpha1.LinkDown}[word[0]]
					n.Status.Agent.Peers = append(n.Status.Agent.Peers,
						v1alpha1.AgentPeer{Node: word[1:], Network: "hb", State: state},
						v1alpha1.AgentPeer{Node: word[1:], Network: "lan", State: v1alpha1.LinkDown})
				}
				for i := range published.Members {
					if published.Members[i].ID == n.Status.ID {
						published.Members[i].ReachesAPI = n.Name != tc.away
					}
				}
			}
			got := networkStatus(o, view, "hb")
			if got.State != tc.want || got.Message != tc.message {
				t.Errorf("got %s %q, want %s %q", got.State, got.Message, tc.want, tc.message)
			}
		})
	}
}
