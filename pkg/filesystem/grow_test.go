package filesystem

import (
	"encoding/binary"
	"strings"
	"testing"
)

func TestExtSize(t *testing.T) {
	super := func(blocks, high, log, incompat uint32) []byte {
		raw := make([]byte, 1024)
		binary.LittleEndian.PutUint32(raw[0x4:], blocks)
		binary.LittleEndian.PutUint32(raw[0x18:], log)
		binary.LittleEndian.PutUint16(raw[0x38:], 0xef53)
		binary.LittleEndian.PutUint32(raw[0x60:], incompat)
		binary.LittleEndian.PutUint32(raw[0x150:], high)
		return raw
	}
	for name, tc := range map[string]struct {
		super []byte
		want  int64
	}{
		"1 KiB blocks":           {super(65536, 0, 0, 0), 64 << 20},
		"4 KiB blocks":           {super(65536, 0, 2, 0x80), 256 << 20},
		"beyond 32 bits":         {super(0, 1, 2, 0x80), 16 << 40},
		"the high part is junk":  {super(65536, 1, 2, 0), 256 << 20},
		"no superblock":          {make([]byte, 1024), 0},
		"short":                  {super(1, 0, 0, 0)[:512][:100], 0},
		"blocks of no such size": {super(1, 0, 60, 0), 0},
		"more than can be":       {super(0, 1<<31, 6, 0x80), 0},
	} {
		if got := extSize(tc.super); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func FuzzExtSize(f *testing.F) {
	f.Add(make([]byte, 1024))
	f.Fuzz(func(t *testing.T, super []byte) {
		if got := extSize(super); got < 0 {
			t.Errorf("a file system of %d bytes", got)
		}
	})
}

func TestRefusal(t *testing.T) {
	if got := refusal("old_desc_blocks = 1\nresize2fs: Permission denied to resize filesystem\nold"); !strings.Contains(got, "CAP_SYS_RESOURCE") {
		t.Errorf("refusal() = %q", got)
	}
	if got := refusal("a\nxfs_growfs: no space\n"); got != "xfs_growfs: no space" {
		t.Errorf("refusal() = %q", got)
	}
}
