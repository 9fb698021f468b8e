package reservation

import (
	"encoding/json"
	"testing"

	"github.com/quorate/quorate/pkg/model"
)

func TestKey(t *testing.T) {
	tests := map[string]struct {
		cluster uint32
		node    model.NodeID
		epoch   model.Epoch
		want    Key
		wantErr bool
	}{
		"smallest":          {cluster: 0, node: 1, epoch: 1, want: 0x0000000010000001},
		"largest":           {cluster: MaxCluster, node: model.MaxNodeID, epoch: model.MaxEpoch, want: 0xffffffffffffffff},
		"fields":            {cluster: 0xabcdef, node: 0x123, epoch: 0x4567890, want: 0xabcdef1234567890},
		"cluster too large": {cluster: MaxCluster + 1, node: 1, epoch: 1, wantErr: true},
		"no node":           {cluster: 1, epoch: 1, wantErr: true},
		"node too large":    {cluster: 1, node: model.MaxNodeID + 1, epoch: 1, wantErr: true},
		"no epoch":          {cluster: 1, node: 1, wantErr: true},
		"O7 never wraps":    {cluster: 1, node: 1, epoch: model.MaxEpoch + 1, wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := NewKey(tc.cluster, tc.node, tc.epoch)
			if got != tc.want || (err != nil) != tc.wantErr {
				t.Errorf("NewKey() = %v, %v; want %v, error %v", got, err, tc.want, tc.wantErr)
			}
		})
	}
}

func FuzzKey(f *testing.F) {
	f.Add(uint32(0xabcdef), uint16(3), uint32(7))
	f.Fuzz(func(t *testing.T, cluster uint32, node uint16, epoch uint32) {
		k, err := NewKey(cluster, model.NodeID(node), model.Epoch(epoch))
		if err != nil {
			return
		}
		if k.Cluster() != cluster || k.Node() != model.NodeID(node) || k.Epoch() != model.Epoch(epoch) {
			t.Errorf("%v unpacks to %d, %d, %d", k, k.Cluster(), k.Node(), k.Epoch())
		}
		raw, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		var back Key
		if err := json.Unmarshal(raw, &back); err != nil || back != k {
			t.Errorf("%s reads as %v, %v", raw, back, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"", "0x1", "0xffffffffffffffff", "12", "0x", "0x10000000000000000", "0X1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKey(s)
		if err != nil {
			return
		}
		if k != 0 {
			if back, err := ParseKey(k.String()); err != nil || back != k {
				t.Errorf("ParseKey(%q) = %v, which reads as %v, %v", s, k, back, err)
			}
		}
	})
}

func TestClusterNumber(t *testing.T) {
	for id, want := range map[string]uint32{"abcdef0123456789": 0xabcdef, "000001ffffffffff": 1} {
		if got, err := ClusterNumber(id); err != nil || got != want {
			t.Errorf("ClusterNumber(%q) = %#x, %v; want %#x", id, got, err, want)
		}
	}
	for _, id := range []string{"", "abc", "xyzxyz0000000000"} {
		if _, err := ClusterNumber(id); err == nil {
			t.Errorf("ClusterNumber(%q) is no error", id)
		}
	}
}
