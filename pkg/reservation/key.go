package reservation

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate/quorate/pkg/model"
)

// Key is a reservation key: 24 bits of cluster id, 12 of node id, 28 of epoch. The zero Key means none.
type Key uint64

const (
	epochBits   = 28
	nodeBits    = 12
	clusterBits = 24
)

// MaxCluster is the largest cluster number that a key can carry.
const MaxCluster uint32 = 1<<clusterBits - 1

// NewKey packs a key. Node 0, epoch 0 and values that do not fit are errors: an epoch never wraps (O7).
func NewKey(cluster uint32, node model.NodeID, epoch model.Epoch) (Key, error) {
	switch {
	case cluster > MaxCluster:
		return 0, fmt.Errorf("cluster number %#x does not fit a reservation key (%d bits)", cluster, clusterBits)
	case node == 0 || node > model.MaxNodeID:
		return 0, fmt.Errorf("node id %d does not fit a reservation key (1 to %d)", node, model.MaxNodeID)
	case epoch == 0 || epoch > model.MaxEpoch:
		return 0, fmt.Errorf("epoch %d does not fit a reservation key (1 to %d)", epoch, model.MaxEpoch)
	}
	return Key(uint64(cluster)<<(nodeBits+epochBits) | uint64(node)<<epochBits | uint64(epoch)), nil
}

// ClusterNumber is the first 24 bits of a cluster's id (at least 6 hex digits), as keys carry them.
func ClusterNumber(clusterID string) (uint32, error) {
	const digits = clusterBits / 4
	if len(clusterID) < digits {
		return 0, fmt.Errorf("cluster id %q is too short: want 16 hex digits", clusterID)
	}
	n, err := strconv.ParseUint(clusterID[:digits], 16, clusterBits)
	if err != nil {
		return 0, fmt.Errorf("cluster id %q is not 16 hex digits: %w", clusterID, err)
	}
	return uint32(n), nil
}

// Cluster returns the cluster number.
func (k Key) Cluster() uint32 { return uint32(k >> (nodeBits + epochBits)) }

// Node returns the node id.
func (k Key) Node() model.NodeID { return model.NodeID(k>>epochBits) & model.MaxNodeID }

// Epoch returns the epoch.
func (k Key) Epoch() model.Epoch { return model.Epoch(k) & model.MaxEpoch }

// valid reports whether the key is one that NewKey could have made.
func (k Key) valid() bool { return k.Node() != 0 && k.Epoch() != 0 }

func (k Key) String() string { return fmt.Sprintf("%#016x", uint64(k)) }

// ParseKey reads what String writes; an empty string is the zero Key.
func ParseKey(s string) (Key, error) {
	if s == "" {
		return 0, nil
	}
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return 0, fmt.Errorf("reservation key %q does not begin with 0x", s)
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("reservation key %q: %w", s, err)
	}
	return Key(n), nil
}

// MarshalText writes the key as hexadecimal, and the zero Key as an empty string.
func (k Key) MarshalText() ([]byte, error) {
	if k == 0 {
		return nil, nil
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (k *Key) UnmarshalText(text []byte) error {
	key, err := ParseKey(string(text))
	if err != nil {
		return err
	}
	*k = key
	return nil
}
