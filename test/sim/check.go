package sim

import (
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// checker knows the true time and everyone's claims, and checks after every step:
//
//	S3  while a node acts, nobody that its view excludes keeps: by true time, frozen and crashed processes included;
//	O3  a generation that an acting view has excluded, or that was burnt, never keeps again;
//	R3  a view id names one membership, a node installs only higher numbers, and itself in its present generation;
//	R5  a record number names one record, and the committed record of a node only grows.
type checker struct {
	w       *World
	claims  map[model.Member]claim
	burnt   map[model.Member]bool
	views   map[model.ViewID]*membership.View
	acting  map[uint64]*membership.View
	records map[uint64]*quorum.Record
	highest map[model.NodeID]uint64
	newest  map[model.NodeID]*quorum.Record
	lives   map[model.NodeID]model.Generation
}

// claim is what a life of a node may do until when, in true time.
type claim struct {
	view          *membership.View
	acting, keeps time.Duration
	everKept      bool
}

func newChecker(w *World) *checker {
	return &checker{
		w: w, claims: map[model.Member]claim{}, burnt: map[model.Member]bool{}, views: map[model.ViewID]*membership.View{},
		acting: map[uint64]*membership.View{}, records: map[uint64]*quorum.Record{}, highest: map[model.NodeID]uint64{},
		newest: map[model.NodeID]*quorum.Record{}, lives: map[model.NodeID]model.Generation{},
	}
}

// status takes in what a host claims after a step.
func (c *checker) status(h *Host) {
	if h.machine == nil {
		return
	}
	st := h.Status()
	h.report(st)
	if st.Self.Generation < c.lives[h.id] {
		c.w.fail("O3: host %d is in generation %d after %d", h.id, st.Self.Generation, c.lives[h.id])
	}
	c.lives[h.id] = st.Self.Generation
	cl := c.claims[st.Self]
	cl.view, cl.acting, cl.keeps = st.View, -1, -1
	if st.Acting {
		cl.acting = h.truly(st.ActingUntil)
	}
	if st.Keeping {
		cl.keeps, cl.everKept = h.truly(st.KeepingUntil), true
	}
	c.claims[st.Self] = cl
	if st.Acting && !st.Keeping {
		c.w.fail("R7: host %d acts and does not keep", h.id)
	}
	if st.Keeping {
		c.keeps(st.Self, st.View)
	}
	if st.Acting {
		c.acts(st)
	}
}

// keeps checks one that keeps against all that act.
func (c *checker) keeps(self model.Member, view *membership.View) {
	if c.burnt[self] {
		c.w.fail("O3: host %v keeps although its generation was excluded or burnt", self)
	}
	for other, cl := range c.claims {
		if other.ID != self.ID && cl.acting > c.w.now && excludes(cl.view, view, self, other) {
			c.w.fail("S3: host %v keeps while %v acts without it in %s", self, other, viewString(cl.view))
		}
	}
}

// excludes reports whether a view shuts out a node that carries another: it is not a member, and its own view is older or shuts
// out the view's node in turn. (A member that has not heard yet of a newer view, into which a node has joined, does no harm: what
// the joined one owns was assigned in the newer view, R10.)
func excludes(view, otherView *membership.View, other, member model.Member) bool {
	if view.HasMember(other) {
		return false
	}
	return otherView == nil || otherView.ID.Number < view.ID.Number || !otherView.HasMember(member)
}

// acts checks one that acts against all that keep.
func (c *checker) acts(st membership.Status) {
	for other, cl := range c.claims {
		if other == st.Self || !cl.everKept || !excludes(st.View, cl.view, other, st.Self) {
			continue
		}
		if cl.keeps > c.w.now {
			c.w.fail("S3: host %v acts in %s while %v keeps for %v more", st.Self, viewString(st.View), other, cl.keeps-c.w.now)
		}
		c.burnt[other] = true
	}
	number := st.View.ID.Number
	if seen, ok := c.acting[number]; ok && !seen.Equal(st.View) {
		c.w.fail("S3: two acting views with number %d: %s and %s", number, viewString(seen), viewString(st.View))
	}
	c.acting[number] = st.View
}

// event checks what a step has done for good.
func (c *checker) event(h *Host, e membership.Event) {
	switch e := e.(type) {
	case membership.ViewInstalled:
		c.installed(h, &e.View)
	case membership.QuorumLost:
		c.burnt[model.Member{ID: h.id, Generation: e.Burnt}] = true
		if e.Generation <= e.Burnt {
			c.w.fail("O3: host %d burns generation %d and goes on in %d", h.id, e.Burnt, e.Generation)
		}
	case membership.RecordCommitted:
		c.committed(h, &e.Record)
	}
}

func (c *checker) installed(h *Host, v *membership.View) {
	if v.ID.Number <= c.highest[h.id] {
		c.w.fail("R3: host %d installs view %v after number %d", h.id, v.ID, c.highest[h.id])
	}
	c.highest[h.id] = v.ID.Number
	if seen, ok := c.views[v.ID]; ok && !seen.Equal(v) {
		c.w.fail("R3: view %v is both %v and %v", v.ID, seen.Members, v.Members)
	}
	c.views[v.ID] = v.Clone()
	if v.Members[0].ID != v.ID.Coordinator {
		c.w.fail("R3: view %s is not its lowest member's", viewString(v))
	}
}

func (c *checker) committed(h *Host, r *quorum.Record) {
	if quorum.Compare(r, c.newest[h.id]) <= 0 {
		c.w.fail("R5: host %d commits record %s after %s", h.id, r, c.newest[h.id])
	}
	c.newest[h.id] = r
	if seen, ok := c.records[r.Number]; ok && !seen.Equal(r) {
		c.w.fail("R5: two committed records with one number: %s and %s", seen, r)
	}
	c.records[r.Number] = r
}

// cleaned ends what older lives of the host claim: all of theirs is gone from it.
func (c *checker) cleaned(h *Host) {
	self := h.Status().Self
	for other := range c.claims {
		if other.ID == self.ID && other != self {
			delete(c.claims, other)
			c.burnt[other] = true
		}
	}
}

// gone ends all that the host claims: its power is off, or it has left.
func (c *checker) gone(h *Host) {
	for other := range c.claims {
		if other.ID == h.id {
			delete(c.claims, other)
			c.burnt[other] = true
		}
	}
}

// lostDisk forgets the record that only the disk of this host could know; views and generations go on rising all the same.
func (c *checker) lostDisk(h *Host) {
	delete(c.newest, h.id)
}
