package membership

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// R9b: the search finds the best clique, compared with trying all sets, by the rule as it is written down.
func TestBestSetIsBest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 2 + rng.IntN(7)
		m := heardBy(t, n, rng, 0.3)
		var best []model.NodeID
		for set := range 1 << n {
			ids := []model.NodeID{}
			for i := range n {
				if set&(1<<i) != 0 {
					ids = append(ids, model.NodeID(i+1))
				}
			}
			if slices.Contains(ids, 1) && allHear(m, ids) && (best == nil || preferred(m, ids, best)) {
				best = ids
			}
		}
		if diff := gocmp.Diff(best, ids(m.bestSet())); diff != "" {
			t.Fatalf("(-all sets +search):\n%s", diff)
		}
	}
}

// The search on bits does what one on lists does, whatever the peers' records say and whoever holds the witness.
func TestSearchIsThatOfTheRule(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		m := heardBy(t, 2+rng.IntN(9), rng, 0.4*rng.Float64())
		unsettle(m, rng)
		all := []model.NodeID{1}
		for i := range m.v.Peers {
			all = append(all, m.v.Peers[i].ID)
		}
		if diff := gocmp.Diff(listSearch(m, all, nil), ids(m.bestSet())); diff != "" {
			t.Fatalf("(-lists +bits):\n%s", diff)
		}
	}
}

// listSearch branches on the node with the most missing links, the highest of several: first without it, then without those.
func listSearch(m *Machine, set, best []model.NodeID) []model.NodeID {
	var worst model.NodeID
	missing := 0
	for _, a := range set {
		n := 0
		for _, b := range set {
			if !allHear(m, []model.NodeID{a, b}) {
				n++
			}
		}
		if n > 0 && n >= missing {
			worst, missing = a, n
		}
	}
	if missing == 0 {
		if best == nil || preferred(m, set, best) {
			return set
		}
		return best
	}
	keep := func(keep func(model.NodeID) bool) []model.NodeID {
		return slices.DeleteFunc(slices.Clone(set), func(id model.NodeID) bool { return !keep(id) })
	}
	best = listSearch(m, keep(func(id model.NodeID) bool { return id != worst }), best)
	return listSearch(m, keep(func(id model.NodeID) bool { return allHear(m, []model.NodeID{worst, id}) }), best)
}

// unsettle gives some peers tentative records, takes the records of others, and puts the witness somewhere.
func unsettle(m *Machine, rng *rand.Rand) {
	some := func() []model.NodeID {
		var voters []model.NodeID
		for id := model.NodeID(1); int(id) <= len(m.v.Peers)+1; id++ {
			if rng.IntN(2) == 0 {
				voters = append(voters, id)
			}
		}
		return voters
	}
	m.a.witness = uint32(rng.IntN(2))
	m.a.holding = rng.IntN(8) == 0
	if rng.IntN(4) == 0 {
		m.p.Tentative = quorum.NewRecord(9, 1, some())
	}
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		switch rng.IntN(6) {
		case 0:
			p.Tentative = quorum.NewRecord(uint64(rng.IntN(4)), p.ID, some())
		case 1:
			p.Committed = nil
		case 2:
			p.Claim.Witness = fullWitness(1, 7)
		}
	}
}

func allHear(m *Machine, ids []model.NodeID) bool {
	for _, a := range ids {
		for _, b := range ids {
			if a != b && a != m.cfg.Self && b != m.cfg.Self && !m.peer(a).hears(b) {
				return false
			}
		}
	}
	return true
}

// preferred orders sets as R9b says: quorate without the witness, votes, holds the witness, size, lowest ids.
func preferred(m *Machine, a, b []model.NodeID) bool {
	key := func(ids []model.NodeID) [4]int {
		has := func(id model.NodeID) bool { return slices.Contains(ids, id) && m.hasVote(id) }
		holds := func(id model.NodeID) bool {
			if id == m.cfg.Self {
				return m.a.holding
			}
			return m.claimsWitness(m.peer(id))
		}
		k := [4]int{1: m.knownCommitted().Votes(has, false), 3: len(ids)}
		if m.quorateWith(ids, 0) {
			k[0] = 1
		}
		if slices.ContainsFunc(ids, holds) {
			k[2] = 1
		}
		return k
	}
	ka, kb := key(a), key(b)
	return cmp.Or(slices.Compare(ka[:], kb[:]), slices.Compare(b, a)) > 0
}

// A badly cut large cluster must not stall the agent: the search is bounded.
func TestBestSetIsBounded(t *testing.T) {
	m := heardBy(t, 64, rand.New(rand.NewPCG(3, 4)), 0.5)
	begin := time.Now()
	set := ids(m.bestSet())
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if !allHear(m, set) || len(set) < 5 {
		t.Errorf("set %v", set)
	}
}

// BenchmarkBestSet is a search in a large cluster that has half formed.
func BenchmarkBestSet(b *testing.B) {
	for name, cut := range map[string]float64{"whole": 0, "forming": 0.05, "half": 0.5} {
		b.Run(name, func(b *testing.B) {
			m := heardBy(b, 64, rand.New(rand.NewPCG(3, 4)), cut)
			for b.Loop() {
				m.bestSet()
			}
		})
	}
}

func TestIDSet(t *testing.T) {
	var a, b idSet
	for _, i := range []int{3, 64, 200} {
		a.add(i)
	}
	b.add(3)
	b.add(65)
	if !a.has(200) || a.has(199) || a.has(5000) || a.size() != 3 || a.sizeWith(b) != 1 || b.sizeWith(a) != 1 {
		t.Errorf("a %v b %v", a, b)
	}
	if !a.lowerThan(b) || b.lowerThan(a) || a.lowerThan(a) || a.equal(b) || !a.equal(slices.Concat(a, idSet{0, 0})) {
		t.Errorf("order of %v and %v", a, b)
	}
	if rest := a.less(200); rest.has(200) || !a.has(200) || !rest.with(b).equal(b.less(65)) {
		t.Errorf("less %v", rest)
	}
}

// heardBy makes machine 1 of a cluster that hears all others, of whom some pairs do not hear each other.
func heardBy(t testing.TB, nodes int, rng *rand.Rand, cut float64) *Machine {
	t.Helper()
	m, err := New(testConfig(1, nodes), &Persistent{Committed: quorum.NewRecord(1, 0, []model.NodeID{1, 2, 4, 5})}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		p.Silent, p.Incarnation, p.Generation, p.Committed = false, 1, 1, m.p.Committed
		p.Hears = nil
		p.Hears.add(1)
		for id := model.NodeID(2); int(id) <= nodes; id++ {
			if rng.Float64() >= cut {
				p.Hears.add(int(id))
			}
		}
	}
	return m
}
