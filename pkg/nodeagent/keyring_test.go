package nodeagent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/heartbeat"
)

// TestKeyring: whatever the operator does to the Secret, the key that was in use before is accepted long enough for all agents to
// read it, and no longer.
func TestKeyring(t *testing.T) {
	a, b, c := []byte("a"), []byte("b"), []byte("c")
	type step struct {
		at     time.Duration
		secret [][]byte
		want   [][]byte
	}
	for name, steps := range map[string][]step{
		"previous kept in the Secret, then dropped": {
			{0, [][]byte{a}, [][]byte{a}}, {time.Minute, [][]byte{b, a}, [][]byte{b, a}}, {time.Hour, [][]byte{b}, [][]byte{b}},
		},
		"replaced at once": {
			{0, [][]byte{a}, [][]byte{a}}, {time.Hour, [][]byte{b}, [][]byte{b, a}},
			{time.Hour + keyGrace - 1, [][]byte{b}, [][]byte{b, a}}, {time.Hour + keyGrace, [][]byte{b}, [][]byte{b}},
		},
		"replaced, and taken back": {
			{0, [][]byte{a}, [][]byte{a}}, {1, [][]byte{b}, [][]byte{b, a}}, {2, [][]byte{a}, [][]byte{a, b}},
		},
		"two rotations at once": {
			{0, [][]byte{a}, [][]byte{a}}, {1, [][]byte{b}, [][]byte{b, a}}, {2, [][]byte{c}, [][]byte{c, b}},
		},
		"another previous": {
			{0, [][]byte{a}, [][]byte{a}}, {1, [][]byte{b, c}, [][]byte{b, c}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var k keyring
			for i, s := range steps {
				k.take(s.secret, s.at)
				if diff := cmp.Diff(s.want, k.inForce(s.at)); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// TestRotating: the Secret is read at once when a peer has a key that is not known here.
func TestRotating(t *testing.T) {
	const now = time.Hour
	for name, tc := range map[string]struct {
		standing standing
		want     bool
	}{
		"all alike":         {standing{Speech: []heartbeat.Peer{{Heard: true, KeyKnown: true, NewestKey: true}}}, false},
		"a peer has more":   {standing{Speech: []heartbeat.Peer{{Heard: true, KeyKnown: true, KeyUnknown: true}}}, true},
		"one that is gone":  {standing{Speech: []heartbeat.Peer{{KeyKnown: true, KeyUnknown: true}}}, false},
		"signed by another": {standing{Heartbeat: heartbeat.Stats{Drops: []heartbeat.Drop{{Reason: "Forged", Count: 1, LastAt: now - time.Second}}}}, true},
		"long ago":          {standing{Heartbeat: heartbeat.Stats{Drops: []heartbeat.Drop{{Reason: "Forged", Count: 1, LastAt: time.Second}}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rotating(&tc.standing, now); got != tc.want {
				t.Errorf("rotating is %v, want %v", got, tc.want)
			}
		})
	}
}
