package quorum

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Record says who votes (rule R5). Its number is that of the view in which it was made; the first record of a cluster, made by
// the first formation, has number 1. A record never changes: another set of voters is another record.
type Record struct {
	Number uint64 `json:"number"`
	// Coordinator is the coordinator of the view in which the record was made; 0 for a first formation.
	Coordinator model.NodeID `json:"coordinator,omitempty"`
	// Voters are sorted by id. Of an even number the highest does not count, unless a witness votes.
	Voters []model.NodeID `json:"voters"`
	// Witness is the id of the witness that has a vote, 0 for none. It counts only beside an even number of voters (R5). The id tells
	// one witness from another: a node that was away while the witness was changed must not count the new one under an old record.
	Witness uint64 `json:"witness,omitempty"`
	// WitnessOnly takes the vote from the nodes: only the witness counts (WSFC's "no majority: disk only").
	WitnessOnly bool `json:"witnessOnly,omitempty"`
	// Forced says that an operator made the record, or the one before it, without a quorum. It ends with the next record that a
	// majority of the configured votes takes part in (A40).
	Forced bool `json:"forced,omitempty"`
}

// NewRecord returns the record of these voters, sorted and without repetition.
func NewRecord(number uint64, coordinator model.NodeID, voters []model.NodeID) *Record {
	sorted := slices.Clone(voters)
	slices.Sort(sorted)
	return &Record{Number: number, Coordinator: coordinator, Voters: slices.Compact(sorted)}
}

// Clone returns a copy that shares nothing; nil for nil.
func (r *Record) Clone() *Record {
	if r == nil {
		return nil
	}
	c := *r
	c.Voters = slices.Clone(r.Voters)
	return &c
}

// Equal reports whether both are the same record, in every field.
func (r *Record) Equal(o *Record) bool {
	if r == nil || o == nil || r == o {
		return r == o
	}
	return r.Number == o.Number && r.Coordinator == o.Coordinator && r.SameVotes(o) && r.Forced == o.Forced
}

// SameVotes reports whether both give the same votes to the same nodes and witness, whatever their numbers are.
func (r *Record) SameVotes(o *Record) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.Witness == o.Witness && r.WitnessOnly == o.WitnessOnly && slices.Equal(r.Voters, o.Voters)
}

// Compare orders records by number, then coordinator; nil comes first.
func Compare(a, b *Record) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Coordinator, b.Coordinator))
}

// String is short and stable: "7/1 voters 1,2,3".
func (r *Record) String() string {
	if r == nil {
		return "none"
	}
	ids := make([]string, len(r.Voters))
	for i, v := range r.Voters {
		ids[i] = fmt.Sprint(v)
	}
	s := fmt.Sprintf("%d/%d voters %s", r.Number, r.Coordinator, strings.Join(ids, ","))
	if r.WitnessOnly {
		s += " only"
	}
	if r.Witness != 0 {
		s += " witness"
	}
	if r.Forced {
		s += " forced"
	}
	return s
}

// HasVoter reports whether the node is named as a voter, whether it counts or not.
func (r *Record) HasVoter(id model.NodeID) bool {
	return r != nil && slices.Contains(r.Voters, id)
}

// WitnessCounts says that the witness has a vote: only beside an even number of voters (R5), or alone.
func (r *Record) WitnessCounts() bool {
	return r != nil && r.Witness != 0 && len(r.Voters) > 0 && (r.WitnessOnly || len(r.Voters)%2 == 0)
}

// Counting returns the voters that count: all of an odd number; of an even number all but the highest, unless the witness
// makes the number odd (R5). With WitnessOnly none does.
func (r *Record) Counting() []model.NodeID {
	if r == nil || len(r.Voters) == 0 || r.WitnessOnly {
		return nil
	}
	if len(r.Voters)%2 == 0 && !r.WitnessCounts() {
		return r.Voters[:len(r.Voters)-1]
	}
	return r.Voters
}

// Total is the number of votes that count, the witness's included.
func (r *Record) Total() int {
	n := len(r.Counting())
	if r.WitnessCounts() {
		n++
	}
	return n
}

// Required is the number of votes that make a majority; 1 for a record without voters, which nothing can reach.
func (r *Record) Required() int { return r.Total()/2 + 1 }

// Votes counts the votes of the nodes for which has is true, and the witness's if it is held.
func (r *Record) Votes(has func(model.NodeID) bool, witnessHeld bool) int {
	n := 0
	for _, id := range r.Counting() {
		if has(id) {
			n++
		}
	}
	if witnessHeld && r.WitnessCounts() {
		n++
	}
	return n
}

// Quorate reports whether those nodes, and the witness if it is held, are a majority.
func (r *Record) Quorate(has func(model.NodeID) bool, witnessHeld bool) bool {
	return r != nil && r.Votes(has, witnessHeld) >= r.Required()
}

// Lapsed is the expiry of a vote that is not held.
const Lapsed time.Duration = -1

// QuorateUntil returns when the last majority ends of votes that are leases: until gives the expiry of a node's vote and
// witness that of the witness's, both Lapsed when not held. It returns Lapsed when all votes together are no majority.
func (r *Record) QuorateUntil(until func(model.NodeID) time.Duration, witness time.Duration) time.Duration {
	if r.Total() == 0 {
		return Lapsed
	}
	counting := r.Counting()
	var few [65]time.Duration // 64 nodes and a witness
	expiries := few[:0]
	for _, id := range counting {
		expiries = append(expiries, until(id))
	}
	if r.WitnessCounts() {
		expiries = append(expiries, witness)
	}
	slices.Sort(expiries)
	return max(Lapsed, expiries[len(expiries)-r.Required()])
}

// FailuresLeft is how many of the present voters may fail at the same moment, whichever they are, with the rest still quorate.
// It is -1 when the present ones are not quorate as it is.
func (r *Record) FailuresLeft(present func(model.NodeID) bool, witnessHeld bool) int {
	if r == nil {
		return -1
	}
	return max(-1, r.Votes(present, witnessHeld)-r.Required())
}
