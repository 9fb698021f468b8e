package nodeagent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// TestReach looks once a second, from 1 s on, and says what the network was after each look: U unknown, R reached, I isolated.
func TestReach(t *testing.T) {
	looks := map[byte]reachLook{
		'h': {carrier: true, asked: []string{"10.0.0.1"}, heard: true},
		's': {carrier: true, asked: []string{"10.0.0.1"}},
		'n': {carrier: true},
		'd': {},
	}
	states := map[v1alpha1.NetworkReach]byte{v1alpha1.NetworkReached: 'R', v1alpha1.NetworkIsolated: 'I', v1alpha1.NetworkReachUnknown: 'U'}
	for name, tc := range map[string]struct{ looks, want string }{
		"heard after two seconds, for good":         {"hhhhh", "UURRR"},
		"silent for three seconds":                  {"hhhsssss", "UURRRRII"},
		"silent from the start":                     {"sssss", "UUUII"},
		"a look that finds nobody is no silence":    {"hhhsshsshssh", "UURRRRRRRRRR"},
		"no carrier is no question":                 {"hhhdd", "UURII"},
		"nobody to hear":                            {"nnnnnn", "UUUUUU"},
		"the last other node is gone from the spec": {"hhhnnn", "UURUUU"},
		"back after two seconds":                    {"hhhsssshhh", "UURRRRIIIR"},
		"one that comes and goes takes longer":      {"hhhsssshhhsssshhhhh", "UURRRRIIIRRRRIIIRRR"},
	} {
		t.Run(name, func(t *testing.T) {
			var r reach
			got := ""
			for i := range len(tc.looks) {
				before := r.state
				if changed := r.look(time.Duration(i+1)*time.Second, looks[tc.looks[i]]); changed != (before != r.state) {
					t.Errorf("look %d: changed = %v from %q to %q", i, changed, before, r.state)
				}
				if r.heard != (tc.looks[i] == 'h') {
					t.Errorf("look %d: heard = %v", i, r.heard)
				}
				got += string(states[r.state])
			}
			if got != tc.want {
				t.Errorf("looks %s: %s, want %s", tc.looks, got, tc.want)
			}
		})
	}
}

// TestIsolatedFrom: nothing fails that could not be better elsewhere.
func TestIsolatedFrom(t *testing.T) {
	cut := &reach{state: v1alpha1.NetworkIsolated, since: 10 * time.Second, asked: []string{"10.0.0.1", "10.0.0.2"}, silent: 7 * time.Second}
	well := otherReach{node: "b", mayTake: true, state: v1alpha1.NetworkReached}
	with := func(change func(*otherReach)) otherReach {
		o := well
		change(&o)
		return o
	}
	for name, tc := range map[string]struct {
		own    *reach
		now    time.Duration
		others []otherReach
		want   string
	}{
		"cut off":         {cut, 12 * time.Second, []otherReach{well}, "nobody is heard there (10.0.0.1, 10.0.0.2), and node b reaches it"},
		"the second does": {cut, 12 * time.Second, []otherReach{with(func(o *otherReach) { o.state = v1alpha1.NetworkIsolated }), well}, "node b"},
		"no carrier":      {&reach{state: v1alpha1.NetworkIsolated, since: time.Second}, time.Minute, []otherReach{well}, "no carrier"},
		"not for long":    {cut, 12*time.Second - 1, []otherReach{well}, ""},
		"not looked at":   {nil, time.Minute, []otherReach{well}, ""},
		"heard again":     {&reach{state: v1alpha1.NetworkIsolated, since: time.Second, heard: true}, time.Minute, []otherReach{well}, ""},
		"reached":         {&reach{state: v1alpha1.NetworkReached}, time.Minute, []otherReach{well}, ""},
		"not known":       {&reach{state: v1alpha1.NetworkReachUnknown}, time.Minute, []otherReach{well}, ""},
		"a single node":   {cut, time.Minute, nil, ""},
		"so are all":      {cut, time.Minute, []otherReach{with(func(o *otherReach) { o.state = v1alpha1.NetworkIsolated })}, ""},
		"an old agent":    {cut, time.Minute, []otherReach{with(func(o *otherReach) { o.state = "" })}, ""},
		"not known there": {cut, time.Minute, []otherReach{with(func(o *otherReach) { o.state = v1alpha1.NetworkReachUnknown })}, ""},
		"not its owner":   {cut, time.Minute, []otherReach{with(func(o *otherReach) { o.mayTake = false })}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := isolatedFrom("lan", tc.own, tc.now, tc.others)
			if tc.want == "" {
				if err != nil {
					t.Errorf("it fails: %v", err)
				}
				return
			}
			var lost *resourcetype.NetworkLostError
			if !errors.As(err, &lost) || lost.Network != "lan" || !strings.Contains(lost.Message, tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
