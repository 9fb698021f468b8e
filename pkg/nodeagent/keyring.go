package nodeagent

import (
	"bytes"
	"slices"
	"time"
)

const (
	// keyRefresh is how often the Secret with the heartbeat keys is read again: how soon a rotation arrives where nobody tells of it.
	keyRefresh = 30 * time.Second
	// keyHurry is how often it is read while a peer accepts a key that is not known here, or signs with one: a rotation is under way.
	keyHurry = 3 * time.Second
	// keyRetry is how long a failed reading of the keys is not tried again.
	keyRetry = 3 * time.Second
	// keyGrace is how long a key that was replaced in the Secret is still accepted, so that agents which read the Secret at different
	// times go on hearing each other. It is some times keyRefresh.
	keyGrace = 2 * time.Minute
)

// keyring keeps the keys of heartbeats over a rotation. Agents read the Secret one after the other; each signs for a peer with the
// newest key that the peer says it accepts (pkg/heartbeat), so that a rotation needs nothing but that the old key is accepted until
// all have the new one.
type keyring struct {
	// secret are the keys of the Secret, newest first.
	secret [][]byte
	// retired has left the Secret and is accepted until then; nil if there is none.
	retired []byte
	until   time.Duration
}

// take takes over what the Secret has now.
func (k *keyring) take(secret [][]byte, now time.Duration) {
	if len(k.secret) > 0 && !has(secret, k.secret[0]) {
		k.retired, k.until = k.secret[0], now+keyGrace
	}
	if k.retired != nil && has(secret, k.retired) {
		k.retired = nil
	}
	k.secret = secret
}

// inForce are the keys to accept, newest first: at most two.
func (k *keyring) inForce(now time.Duration) [][]byte {
	keys := slices.Clone(k.secret)
	if len(keys) == 1 && k.retired != nil && now < k.until {
		keys = append(keys, k.retired)
	}
	return keys
}

func has(keys [][]byte, key []byte) bool {
	return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

// rotating says that peers have keys that this node does not: the Secret has changed.
func rotating(s *standing, now time.Duration) bool {
	for _, p := range s.Speech {
		if p.Heard && p.KeyUnknown {
			return true
		}
	}
	forged := s.Heartbeat.Drop("Forged")
	return forged.Count > 0 && now-forged.LastAt < forgeryIsRecent
}
