package cluster

import (
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios replays what storms have found: each file tells in its first lines what was wrong, and has the faults that are needed
// to see it. The outcome is what the code of today makes of them.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "run" {
				d.Fatalf(t, "there is no command %q", d.Cmd)
			}
			faults, err := ParseFaults(d.Input)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			r := Run{Faults: faults, APIOnly: d.HasArg("api-only"), Alternatives: d.HasArg("alternatives"), Halves: d.HasArg("halves")}
			d.ScanArgs(t, "seed", &r.Seed)
			if *traceFlag {
				r.Trace = os.Stdout
			}
			if out := r.Do(); out.Err != nil {
				return strings.SplitN(out.Err.Error(), "\n", 2)[0] + "\n"
			}
			return "no violation\n"
		})
	})
}

// TestShrink makes a failure small: of a whole storm only the fault that matters is left.
func TestShrink(t *testing.T) {
	r := SeedRun(1)
	r.APIOnly = true // so that whatever stops is a violation of S8
	r.Faults = append(Storm(3, true, stormLength)[:6], Fault{At: 12 * 1e9, Kind: "offline", Node: 1, Other: 1, For: 1e9})
	small, err := Shrink(r, 100)
	if err == nil || Invariant(err) != "S8" {
		t.Fatalf("got %v", err)
	}
	if len(small.Faults) != 1 || small.Faults[0].Kind != "offline" {
		t.Errorf("left are %v", small.Faults)
	}
}

func FuzzParseFault(f *testing.F) {
	for _, fault := range Storm(1, false, stormLength)[:5] {
		f.Add(fault.String())
	}
	f.Add("1s crash node=0")
	f.Fuzz(func(t *testing.T, line string) {
		fault, err := ParseFault(line)
		if err != nil {
			return
		}
		again, err := ParseFault(fault.String())
		if err != nil || again != fault {
			t.Errorf("%q is read as %v and again as %v, %v", line, fault, again, err)
		}
	})
}
