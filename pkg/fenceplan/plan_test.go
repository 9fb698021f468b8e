package fenceplan

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/pkg/model"
)

var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// TestScenarios: each file holds rules, told as facts and the decision on them.
//
//	plan [self=N] [acting=no] [view=1.1,2.1] [maintenance=yes]
//	node ID.GENERATION [policy=Always] [left] [maintenance] [staysoff] [confirmed=G] [can=1:12,2:1] [did=BY.GENERATION:State:FAILURES:ATTEMPTS:CYCLES]
//	group NAME owner=ID.G [unproven=ID.G,...] [safe] [proven] [maintenance]
//
// ATTEMPTS and CYCLES are lists of minutes ago, with +.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			f := &Facts{Self: 1, Acting: true}
			for _, arg := range d.CmdArgs {
				switch arg.Key {
				case "self":
					f.Self = model.NodeID(number(t, arg.Vals[0]))
				case "acting":
					f.Acting = arg.Vals[0] != "no"
				case "maintenance":
					f.Maintenance = true
				case "view":
					for _, life := range arg.Vals {
						life, deaf := strings.CutSuffix(life, "!")
						f.View = append(f.View, Member{Member: member(t, life), ReachesAPI: !deaf})
					}
				default:
					t.Fatalf("%s: unknown %s", d.Pos, arg.Key)
				}
			}
			for line := range strings.Lines(d.Input) {
				addLine(t, f, strings.Fields(line))
			}
			return tell(Plan(f, epoch))
		})
	})
}

func tell(r Result) string {
	var b strings.Builder
	for _, v := range r.Verdicts {
		fmt.Fprintf(&b, "%s: %s: %s\n", v.Node, v.Code, v.Message)
	}
	for _, o := range r.Orders {
		fmt.Fprintf(&b, "fence %s by levels %v, then on: %v\n", o.Target, o.Levels, o.PowerOn)
	}
	if !r.Next.IsZero() {
		fmt.Fprintf(&b, "look again after %s\n", r.Next.Sub(epoch))
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func member(t *testing.T, s string) model.Member {
	t.Helper()
	id, generation, _ := strings.Cut(s, ".")
	return model.Member{ID: model.NodeID(number(t, id)), Generation: model.Generation(number(t, generation))}
}

func addLine(t *testing.T, f *Facts, words []string) {
	t.Helper()
	switch words[0] {
	case "node":
		life := member(t, words[1])
		n := Node{ID: life.ID, Name: "node-" + string(rune('a'+life.ID-1)), Generation: life.Generation, Policy: WhenNeeded, Fencers: map[model.NodeID][]int{}}
		for _, word := range words[2:] {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "policy":
				n.Policy = Policy(value)
			case "left":
				n.Left = true
			case "maintenance":
				n.Maintenance = true
			case "staysoff":
				n.StaysOff = true
			case "confirmed":
				n.Confirmed = model.Generation(number(t, value))
			case "can":
				for part := range strings.SplitSeq(value, ",") {
					id, levels, _ := strings.Cut(part, ":")
					for _, l := range levels {
						n.Fencers[model.NodeID(number(t, id))] = append(n.Fencers[model.NodeID(number(t, id))], int(l-'0'))
					}
				}
			case "did":
				n.Records = append(n.Records, record(t, value))
			default:
				t.Fatalf("unknown %s", word)
			}
		}
		f.Nodes = append(f.Nodes, n)
	case "group":
		g := Group{Name: words[1], NeedsFencing: true}
		for _, word := range words[2:] {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "owner":
				g.Owner = member(t, value)
			case "unproven":
				for part := range strings.SplitSeq(value, ",") {
					g.Unproven = append(g.Unproven, member(t, part))
				}
			case "safe":
				g.NeedsFencing = false
			case "proven":
				g.Proven = true
			case "maintenance":
				g.Maintenance = true
			default:
				t.Fatalf("unknown %s", word)
			}
		}
		f.Groups = append(f.Groups, g)
	default:
		t.Fatalf("unknown line %v", words)
	}
}

func record(t *testing.T, value string) Record {
	t.Helper()
	parts := append(strings.Split(value, ":"), "", "", "", "")
	by := member(t, parts[0])
	r := Record{By: by.ID, Generation: by.Generation, State: State(parts[1])}
	if parts[2] != "" {
		r.Failures = number(t, parts[2])
	}
	for i, list := range []*[]time.Time{&r.Attempts, &r.Cycles} {
		for minutes := range strings.SplitSeq(parts[3+i], "+") {
			if minutes != "" {
				*list = append(*list, epoch.Add(-time.Duration(number(t, minutes))*time.Minute))
			}
		}
	}
	return r
}

// TestNobodyAlive: whatever the facts, an order is never about this node, a node of the view, or an older life, is given to one member
// only, and the order of the facts does not matter.
func TestNobodyAlive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	coin := func(n int) bool { return rng.IntN(n) == 0 }
	fenced := 0
	for range 20000 {
		f := &Facts{Acting: !coin(10), Maintenance: coin(20)}
		for id := model.NodeID(1); id <= 5; id++ {
			n := Node{ID: id, Name: fmt.Sprint(id), Generation: model.Generation(rng.IntN(3)), Left: coin(10), Maintenance: coin(10), Policy: WhenNeeded, Fencers: map[model.NodeID][]int{}}
			if coin(2) {
				n.Policy = Always
			}
			for other := model.NodeID(1); other <= 5; other++ {
				if coin(2) {
					n.Fencers[other] = []int{1}
				}
				if coin(6) {
					n.Records = append(n.Records, Record{By: other, Generation: 1, State: []State{Running, Fenced, Failed}[rng.IntN(3)], Failures: rng.IntN(3), Attempts: []time.Time{epoch.Add(-time.Duration(rng.IntN(3600)) * time.Second)}})
				}
			}
			f.Nodes = append(f.Nodes, n)
			if coin(2) {
				f.View = append(f.View, Member{Member: model.Member{ID: id, Generation: max(1, n.Generation)}, ReachesAPI: !coin(5)})
			}
		}
		for i := range 4 {
			life := func() model.Member { return model.Member{ID: model.NodeID(1 + rng.IntN(5)), Generation: 1} }
			f.Groups = append(f.Groups, Group{Name: fmt.Sprint(i), Owner: life(), Unproven: []model.Member{life()}, NeedsFencing: coin(2), Proven: coin(4), Maintenance: coin(10)})
		}
		by := map[model.Member]model.NodeID{}
		for _, m := range f.View {
			f.Self = m.ID
			r := Plan(f, epoch)
			for _, o := range r.Orders {
				fenced++
				i := slices.IndexFunc(f.Nodes, func(n Node) bool { return n.ID == o.Target.ID })
				inView := slices.ContainsFunc(f.View, func(m Member) bool { return m.ID == o.Target.ID })
				if o.Target.ID == f.Self || inView || f.Nodes[i].Generation != o.Target.Generation || !f.Acting || f.Maintenance || f.Nodes[i].Left || len(o.Levels) == 0 {
					t.Fatalf("node %d is to fence %s: %+v", f.Self, o.Target, f)
				}
				if by[o.Target] != 0 {
					t.Fatalf("nodes %d and %d both fence %s: %+v", by[o.Target], f.Self, o.Target, f)
				}
				by[o.Target] = f.Self
			}
			if len(r.Orders) > Together {
				t.Fatalf("%d at once", len(r.Orders))
			}
			shuffled := *f
			shuffled.Nodes, shuffled.Groups = slices.Clone(f.Nodes), slices.Clone(f.Groups)
			rng.Shuffle(5, func(i, j int) { shuffled.Nodes[i], shuffled.Nodes[j] = shuffled.Nodes[j], shuffled.Nodes[i] })
			rng.Shuffle(4, func(i, j int) { shuffled.Groups[i], shuffled.Groups[j] = shuffled.Groups[j], shuffled.Groups[i] })
			if again := Plan(&shuffled, epoch); !reflect.DeepEqual(r, again) {
				t.Fatalf("the order of the facts matters: %+v, %+v", r, again)
			}
		}
	}
	if fenced < 100 {
		t.Errorf("only %d orders: the facts are too tame", fenced)
	}
}
