package disk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
)

func TestSeal(t *testing.T) {
	many := make([]model.NodeID, witness.MaxVoters)
	for i := range many {
		many[i] = model.MaxNodeID - model.NodeID(i)
	}
	want := records{Committed: quorum.NewRecord(1<<63, 1, many), Tentative: quorum.NewRecord(1<<63+1, 1, many)}
	b, err := seal(sealed{kind: kindRecord, node: 7, id: 9, sequence: 11}, want)
	must(t, err)
	var got records
	s, err := unseal(b, kindRecord, 9, &got)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" || s.node != 7 || s.sequence != 11 {
		t.Errorf("unsealed %+v (-want +got):\n%s", s, diff)
	}
	for i := range b {
		b[i] ^= 0x10
		if _, err := unseal(b, kindRecord, 0, &got); err == nil {
			t.Fatalf("a change of byte %d is not noticed", i)
		}
		b[i] ^= 0x10
	}
	if _, err := unseal(b, kindState, 9, &got); err == nil {
		t.Error("a block of another kind is taken")
	}
	if _, err := unseal(b, kindRecord, 8, &got); err == nil {
		t.Error("a block of an earlier witness is taken")
	}
}

func FuzzUnseal(f *testing.F) {
	b, err := seal(sealed{kind: kindRecord, node: 7, id: 9, sequence: 11}, records{Committed: quorum.NewRecord(3, 1, []model.NodeID{1})})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var r records
		for kind := uint8(kindHeader); kind <= kindState; kind++ {
			_, _ = unseal(b, kind, 0, &r)
		}
		slot := make([]byte, slotSize)
		copy(slot, b)
		newest, next := newestRecords(slot, 9, 7)
		if next.half != 0 && next.half != 1 {
			t.Errorf("next half %d", next.half)
		}
		_ = newest
	})
}

// FuzzHeader: a disk that holds anything at all is blank, this cluster's witness, or refused.
func FuzzHeader(f *testing.F) {
	b, err := seal(sealed{kind: kindHeader, id: 9}, header{Format: format, Cluster: clusterText(witnesstest.Cluster)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, 0)
	f.Add(b, headerCopyAt)
	f.Add([]byte("x"), 100)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		beginning := make([]byte, reserved)
		if at < 0 || at > len(beginning) {
			return
		}
		copy(beginning[at:], data)
		id, err := parseHeader(beginning, witnesstest.Cluster)
		if (err == nil) != (id != 0) {
			t.Errorf("identity %x with error %v", id, err)
		}
	})
}
