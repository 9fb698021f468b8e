package swap

import (
	"errors"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
)

func TestDecodeRefuses(t *testing.T) {
	const good = `{"format":1,"cluster":"abcdef0123456789","array":{"generation":3,"registrations":{"1":"0xabcdef0010000001"},"holder":"1","type":5},"renewals":9}`
	if _, err := decode([]byte(good), witnesstest.Cluster); err != nil {
		t.Fatalf("a good document: %v", err)
	}
	cases := map[string]struct {
		old, spoiled string
		want         error
	}{
		"no JSON":                 {`{`, `[`, witness.ErrGarbled},
		"newer format":            {`"format":1`, `"format":2`, witness.ErrGarbled},
		"no format":               {`"format":1`, `"format":0`, witness.ErrGarbled},
		"another cluster":         {`abcdef0123456789`, `abcdef0123456788`, witness.ErrForeign},
		"key of another node":     {`{"1":"0xabcdef001`, `{"1":"0xabcdef002`, witness.ErrGarbled},
		"key of another cluster":  {`0xabcdef`, `0xabcdee`, witness.ErrGarbled},
		"key of no incarnation":   {`0010000001`, `0010000000`, witness.ErrGarbled},
		"holder not registered":   {`"holder":"1"`, `"holder":"2"`, witness.ErrGarbled},
		"another type":            {`"type":5`, `"type":1`, witness.ErrGarbled},
		"state of no size":        {`"renewals":9`, `"state":{"version":1,"sum":"` + strings.Repeat("ab", 32) + `","size":-1}`, witness.ErrGarbled},
		"state without a sum":     {`"renewals":9`, `"state":{"version":1,"sum":"../../etc/passwd","size":1}`, witness.ErrGarbled},
		"larger than a document":  {`{`, `{"x":"` + strings.Repeat("x", maxDocument) + `",`, witness.ErrGarbled},
		"registration is no node": {`{"1":`, `{"a":`, witness.ErrGarbled},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := decode([]byte(strings.Replace(good, tc.old, tc.spoiled, 1)), witnesstest.Cluster)
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// FuzzDecode: a document from outside never panics, and what is accepted can be acted on and written back.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"format":1,"cluster":"abcdef0123456789","array":{"registrations":{"1":"0xabcdef0010000001"},"holder":"1","type":5}}`))
	f.Add([]byte(`{"format":1,"cluster":"abcdef0123456789","array":{},"committed":{"number":1,"voters":[1,2]},"tentative":{"number":2,"voters":[]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := decode(raw, witnesstest.Cluster)
		if err != nil {
			return
		}
		me := witnesstest.Key(t, 3, 1)
		if err := register(d, me); err != nil && !errors.Is(err, errSettled) {
			t.Fatalf("standing: %v", err)
		}
		if err := take(d, me, d.holder()); err != nil {
			t.Fatalf("taking from the holder that was read: %v", err)
		}
		again, err := d.encode()
		if err != nil {
			return // it has grown beyond the bound
		}
		if d, err = decode(again, witnesstest.Cluster); err != nil || d.holder() != me {
			t.Fatalf("written and read back: %v", err)
		}
	})
}
