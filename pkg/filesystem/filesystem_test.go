package filesystem

import (
	"strings"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	none := strings.Repeat("0", 32)
	sound := make([]byte, 4096)
	sound[1024+0x38], sound[1024+0x39], sound[1024+0x3a] = 0x53, 0xef, 1
	with := func(at int, b byte) []byte {
		raw := append([]byte{}, sound...)
		raw[at] = b
		return raw
	}
	for name, tc := range map[string]struct {
		head []byte
		want Finding
	}{
		"zeros":              {make([]byte, signatureArea), Finding{Blank: true}},
		"one bit at the end": {append(make([]byte, signatureArea-1), 1), Finding{}},
		"xfs":                {append([]byte("XFSB"), make([]byte, 44)...), Finding{Name: "xfs", UUID: none}},
		"ext4":               {sound, Finding{Name: "ext4", UUID: none}},
		"ext4 with errors":   {with(1024+0x3a, 3), Finding{Name: "ext4", UUID: none, Damaged: true}},
		"ext4 not clean":     {with(1024+0x3a, 0), Finding{Name: "ext4", UUID: none, Damaged: true}},
		"short":              {sound[:1500], Finding{}},
		"short xfs":          {[]byte("XFSB...."), Finding{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := probe(tc.head, time.Unix(1000, 0)); got != tc.want {
				t.Errorf("probe() = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func FuzzProbe(f *testing.F) {
	f.Add([]byte("XFSB"))
	f.Add(make([]byte, 2048))
	f.Fuzz(func(t *testing.T, head []byte) {
		if got := probe(head, time.Time{}); got.Blank && strings.Trim(string(head), "\x00") != "" {
			t.Error("a disk that is not blank was taken for blank")
		}
	})
}
