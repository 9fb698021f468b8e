package disk

import (
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/witness"
)

const (
	// block is the unit of writing: the largest sector of disks in use, so that a block is written whole or not at all on most.
	block = 4096

	// MinSize is the size in bytes of the smallest disk that can be a witness: 64 MiB.
	MinSize = 64 << 20

	headerAt     = 0
	headerCopyAt = 60 << 10
	// reserved is what has to be zero on a disk that is not a witness yet: where file systems, partition tables, LVM and software
	// RAID keep what they are known by.
	reserved = 1 << 20

	marksAt  = 256 << 10
	slots    = int(model.MaxNodeID) + 1
	perMark  = 64
	marks    = slots / perMark
	slotsAt  = 1 << 20
	slotSize = 2 * block

	statesAt   = slotsAt + slots*slotSize
	segments   = 8
	stateSize  = block + witness.MaxState
	statesHave = segments * 2
	end        = statesAt + statesHave*stateSize
)

// The layout fits the smallest disk.
var _ = [1]struct{}{}[min(0, MinSize-end)]

func slotAt(node model.NodeID, half int) int64 {
	return int64(slotsAt + int(node)*slotSize + half*block)
}

func markAt(mark int) int64 { return int64(marksAt + mark*block) }

// copyAt is where the n-th copy of a state begins, of all segments.
func copyAt(n int) int64 { return int64(statesAt + n*stateSize) }

// copiesOf are the two copies that a node writes.
func copiesOf(node model.NodeID) [2]int {
	s := int(node) % segments
	return [2]int{2 * s, 2*s + 1}
}
