package disk

import "bytes"

// signature is how something else is known on a disk.
type signature struct {
	offset int
	magic  []byte
	name   string
}

// signatures of what is most often found, so that a refusal can say what it is. What is not here is refused as well.
var signatures = []signature{
	{512, []byte("EFI PART"), "a partition table (GPT)"},
	{4096, []byte("EFI PART"), "a partition table (GPT)"},
	{512, []byte("LABELONE"), "an LVM physical volume"},
	{1024 + 56, []byte{0x53, 0xef}, "an ext2, ext3 or ext4 file system"},
	{0, []byte("XFSB"), "an xfs file system"},
	{64<<10 + 64, []byte("_BHRfS_M"), "a btrfs file system"},
	{0, []byte("LUKS\xba\xbe"), "a LUKS volume"},
	{4096, []byte{0xfc, 0x4e, 0x2b, 0xa9}, "a software RAID member"},
	{0, []byte{0xfc, 0x4e, 0x2b, 0xa9}, "a software RAID member"},
	{4086, []byte("SWAPSPACE2"), "swap space"},
	{64 << 10, []byte{0x01, 0x16, 0x19, 0x70}, "a gfs2 file system"},
	{510, []byte{0x55, 0xaa}, "a partition table (MBR)"},
}

// found names what is at the disk's beginning.
func found(beginning []byte) string {
	for _, s := range signatures {
		if len(beginning) >= s.offset+len(s.magic) && bytes.Equal(beginning[s.offset:s.offset+len(s.magic)], s.magic) {
			return s.name
		}
	}
	return "data that is not a witness's"
}
