package quorum

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/pkg/model"
)

// TestScripts runs testdata/*.txt. Expected output is written by hand from the rule (R5 and the vote table of WSFC, A36 to A38).
// Commands: record voters=(1,2,3) [witness]; votes [present=(1,2)] [held]; until [1=10s ...] [witness=5s]; shrink order=(5,4,...).
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var r *Record
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "record":
				r = NewRecord(7, 1, idsArg(t, d, "voters"))
				if d.HasArg("witness") {
					r.Witness = 1
				}
				r.WitnessOnly = d.HasArg("only")
				return fmt.Sprintf("%s\ncounting %v total %d required %d\n", r, r.Counting(), r.Total(), r.Required())
			case "votes":
				present := idsArg(t, d, "present")
				has := func(id model.NodeID) bool { return slices.Contains(present, id) }
				return fmt.Sprintf("votes %d quorate %t failures left %d\n",
					r.Votes(has, d.HasArg("held")), r.Quorate(has, d.HasArg("held")), r.FailuresLeft(has, d.HasArg("held")))
			case "until":
				return untilCommand(t, d, r)
			case "shrink":
				return shrinkCommand(t, d, r)
			}
			t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			return ""
		})
	})
}

func untilCommand(t *testing.T, d *datadriven.TestData, r *Record) string {
	leases, witness := map[model.NodeID]time.Duration{}, Lapsed
	for _, arg := range d.CmdArgs {
		lease, err := time.ParseDuration(arg.Vals[0])
		if err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		if arg.Key == "witness" {
			witness = lease
			continue
		}
		var id model.NodeID
		if _, err := fmt.Sscan(arg.Key, &id); err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		leases[id] = lease
	}
	until := r.QuorateUntil(func(id model.NodeID) time.Duration {
		if l, ok := leases[id]; ok {
			return l
		}
		return Lapsed
	}, witness)
	if until == Lapsed {
		return "lapsed\n"
	}
	return until.String() + "\n"
}

// shrinkCommand lets voters die one after the other, each time with a new record of the rest, as dynamic votes do.
func shrinkCommand(t *testing.T, d *datadriven.TestData, r *Record) string {
	var b strings.Builder
	for _, dead := range idsArg(t, d, "order") {
		left := slices.DeleteFunc(slices.Clone(r.Voters), func(id model.NodeID) bool { return id == dead })
		quorate := r.Quorate(func(id model.NodeID) bool { return slices.Contains(left, id) }, false)
		fmt.Fprintf(&b, "%d dies: %v quorate %t\n", dead, left, quorate)
		if !quorate {
			break
		}
		next := NewRecord(r.Number+1, 1, left)
		next.Witness = r.Witness
		r = next
	}
	return b.String()
}

func idsArg(t *testing.T, d *datadriven.TestData, key string) []model.NodeID {
	var ids []model.NodeID
	for _, arg := range d.CmdArgs {
		if arg.Key != key {
			continue
		}
		for _, v := range arg.Vals {
			var id model.NodeID
			if _, err := fmt.Sscan(v, &id); err != nil {
				t.Fatalf("%s: %v", d.Pos, err)
			}
			ids = append(ids, id)
		}
	}
	return ids
}
