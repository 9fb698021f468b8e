package lifecycle

import (
	"math"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// forever is a time that never comes.
const forever = time.Duration(math.MaxInt64)

// viewsKept bounds the history of views. Losing old ones only makes a wait longer.
const viewsKept = 64

// View is a view in which this node acts (rule R7), and when it installed it.
type View struct {
	At      time.Duration
	ID      model.ViewID
	Members []model.Member
}

func (v View) has(m model.Member) bool { return slices.Contains(v.Members, m) }

// Views is the history of the views in which this node has acted, unbroken up to now. It is immutable: many machines share one.
type Views struct {
	history []View // oldest first
	newest  map[model.NodeID]model.Generation
}

// Install returns the history with one more view.
func (v *Views) Install(view View) *Views {
	next := &Views{newest: map[model.NodeID]model.Generation{}}
	if v != nil {
		next.history = slices.Clone(v.history[max(0, len(v.history)-viewsKept+1):])
		for id, generation := range v.newest {
			next.newest[id] = generation
		}
	}
	next.history = append(next.history, view)
	for _, m := range view.Members {
		next.newest[m.ID] = max(next.newest[m.ID], m.Generation)
	}
	return next
}

// Lose returns the history after this node has dropped its view: every wait starts again (rule O4), but a newer generation that
// was seen stays seen.
func (v *Views) Lose() *Views {
	if v == nil {
		return nil
	}
	return &Views{newest: v.newest}
}

// Newer reports whether a later life of the owner was seen in a view, which proves that this one has ended (rule O3).
func (v *Views) Newer(o model.Owner) bool { return v != nil && v.newest[o.ID] > o.Generation }

// Lacks returns when the owner's absence began, counted from the installation of the first view numbered at least from, such that
// it and all since lack the owner (rule O4).
func (v *Views) Lacks(o model.Owner, from uint64) (since time.Duration, ok bool) {
	if v == nil {
		return 0, false
	}
	owner := model.Member{ID: o.ID, Generation: o.Generation}
	for _, view := range slices.Backward(v.history) {
		if view.ID.Number < from || view.has(owner) {
			break
		}
		since, ok = view.At, true
	}
	return since, ok
}

// Facts are what a proof is made from.
type Facts struct {
	// Self is this node in this life.
	Self  model.Member
	Views *Views
	Fencing
}

// claim is what the proof of a resource is asked for with.
type claim struct {
	kind        Kind
	reservation Reservation
	unproven    []model.Owner
	from        uint64
}

// Prove says whether every unproven owner of a resource is harmless (rule O13), and by which evidence: the weakest that was needed.
// Without proof, at is when to ask again; it is forever when only a change of the facts can help.
func (f Facts) Prove(
	kind Kind, reservation Reservation, unproven []model.Owner, view model.ViewID, now time.Duration,
) (proof ProofType, at time.Duration) {
	c := claim{kind: kind, reservation: reservation, unproven: unproven, from: view.Number}
	if len(c.unproven) == 0 {
		return ProofGracefulStop, 0
	}
	if c.kind == KindDisk && c.reservation.Enforced && c.reservation.Proof {
		return ProofReservation, 0
	}
	for _, owner := range c.unproven {
		p, due := f.proveOwner(c, owner)
		if due > now {
			at = max(at, due)
		}
		if rank(p) > rank(proof) {
			proof = p
		}
	}
	if at > 0 {
		return ProofNone, at
	}
	return proof, 0
}

// proveOwner returns the quickest evidence about one owner, and when it holds.
func (f Facts) proveOwner(c claim, owner model.Owner) (ProofType, time.Duration) {
	life := model.Member{ID: owner.ID, Generation: owner.Generation}
	switch {
	case life == f.Self:
		// It is this machine itself that ran it and runs it: there is nobody else to stop (rule O9).
		return ProofGracefulStop, 0
	case owner.ID == f.Self.ID && owner.Generation < f.Self.Generation, f.Views.Newer(owner):
		return ProofNewerGeneration, 0
	case f.PowerFenced[life]:
		return ProofPowerFenced, 0
	case f.Confirmed[life]:
		return ProofManualConfirmation, 0
	}
	since, ok := f.Views.Lacks(owner, c.from)
	if !ok {
		return ProofNone, forever
	}
	if c.kind == KindAddress && f.GuardsAddresses[owner.ID] {
		return ProofAddressLease, since
	}
	if f.OnlyPower[owner.ID] {
		return ProofNone, forever
	}
	if !enforced(RuleWait) {
		return ProofSelfFence, since
	}
	return ProofSelfFence, since + max(f.SelfFence, f.Watchdogs[owner.ID]) + f.Witness + f.Margin
}

// rank orders evidence from what was seen to what was waited for.
func rank(p ProofType) int {
	return slices.Index([]ProofType{
		ProofNone, ProofGracefulStop, ProofNewerGeneration, ProofPowerFenced, ProofReservation, ProofManualConfirmation,
		ProofAddressLease, ProofSelfFence,
	}, p)
}
