package pacemaker

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var mutants = flag.Int("pacemaker.mutants", 100, "damaged copies of each CIB of testdata to import")

// TestDamagedCIBs imports copies of the CIBs of testdata with values, and sometimes bytes, changed: whatever is still a CIB becomes
// manifests that the API server takes. Fuzzing does the same without end; this is what every run of the tests does.
func TestDamagedCIBs(t *testing.T) {
	paths, err := filepath.Glob("testdata/cib/*.xml")
	if err != nil || len(paths) < 4 {
		t.Fatalf("%d CIBs (%v)", len(paths), err)
	}
	rng, imported := rand.New(rand.NewPCG(1, 2)), 0
	for _, path := range paths {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for range *mutants {
			cib := damage(whole, rng)
			r, err := Import(cib, Options{})
			if err != nil {
				continue
			}
			imported++
			if mustBeUsable(t, r); t.Failed() {
				t.Fatalf("of this CIB:\n%s", cib)
			}
		}
	}
	if imported < *mutants {
		t.Errorf("only %d of %d damaged CIBs could be imported: the damage is too great to show anything", imported, *mutants*len(paths))
	}
}

// value is an attribute with its value.
var value = regexp.MustCompile(`="[^"]*"`)

// strange are values that somebody could have written.
var strange = []string{
	"", "0", "-1", "INFINITY", "-INFINITY", "999999999999", "true", "no", "node", "a b", "../x", "/", "/a/./b", "10.0.0.1", "::1", "fe80::1%eth0", "1.5h",
	"a&#127;b", "\u0085", "a&#x2028;b", "&#13;\u00a0", "# a: {b", "'\t\n", "ocf", "stonith", "heartbeat", "nfs", "drbd", "*", "UPPER_case", "\u00e4\u00f6", "x;y", "300", "fence_ipmilan", "Stopped",
}

// damage changes a few places of a copy: mostly the values of attributes, sometimes bytes, sometimes whole pieces.
func damage(whole []byte, rng *rand.Rand) []byte {
	b := append([]byte{}, whole...)
	for range 1 + rng.IntN(4) {
		places := value.FindAllIndex(b, -1)
		at := places[rng.IntN(len(places))]
		to := strange[rng.IntN(len(strange))]
		switch rng.IntN(8) {
		case 0:
			b[rng.IntN(len(b))] = byte('a' + rng.IntN(26))
		case 1: // the value of another attribute
			other := places[rng.IntN(len(places))]
			to = string(b[other[0]+2 : other[1]-1])
		case 2: // very long
			to = strings.Repeat("long-", 60+rng.IntN(1000))
		}
		b = append(b[:at[0]+2:at[0]+2], append([]byte(to), b[at[1]-1:]...)...)
	}
	return b
}
