package heartbeat

import (
	"fmt"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// check holds the bounds of a datagram, so that no later step meets a value that it was not made for.
func check(d *Datagram) error {
	m := &d.Message
	switch {
	case !validID(m.From):
		return fmt.Errorf("sender %d is not in 1..%d", m.From, model.MaxNodeID)
	case m.Incarnation == 0 || m.Generation == 0 || m.Sequence == 0:
		return fmt.Errorf("incarnation %d, generation %d, sequence %d: none may be 0", m.Incarnation, m.Generation, m.Sequence)
	case m.Hold <= 0 || m.Hold > maxHold:
		return fmt.Errorf("hold %s is not in 0..%s", m.Hold, maxHold)
	case len(m.Heard) > maxList:
		return fmt.Errorf("%d entries of heard, more than %d", len(m.Heard), maxList)
	}
	if err := checkLists(m); err != nil {
		return err
	}
	if err := checkRecord(m.Committed); err != nil {
		return err
	}
	if err := checkRecord(m.Tentative); err != nil {
		return err
	}
	if err := checkWitness(m); err != nil {
		return err
	}
	return checkEchoes(d.Echoes)
}

// checkWitness holds the bounds of what is said of the witness.
func checkWitness(m *membership.Message) error {
	if c := m.Claim; c != nil && (c.Witness == 0 || c.Remaining <= 0 || c.Remaining > maxHold || c.Coordinator > model.MaxNodeID) {
		return fmt.Errorf("claim of witness %x for %s is out of bounds", c.Witness, c.Remaining)
	}
	if id := m.Suspended; id.Coordinator > model.MaxNodeID || (id.Number == 0) != (id.Coordinator == 0) {
		return fmt.Errorf("suspended from view %s, which is out of bounds", id)
	}
	return nil
}

// checkLists holds the bounds of the lists of nodes.
func checkLists(m *membership.Message) error {
	for i := range m.Heard {
		if !validID(m.Heard[i].ID) || (i > 0 && m.Heard[i-1].ID >= m.Heard[i].ID) {
			return fmt.Errorf("heard: node %d is out of range or order", m.Heard[i].ID)
		}
	}
	if err := checkMembers("proposal", m.Proposal); err != nil {
		return err
	}
	v := m.View
	if v == nil {
		return nil
	}
	if v.ID.Number == 0 || !validID(v.ID.Coordinator) || len(v.Members) == 0 {
		return fmt.Errorf("view %s of %d members is out of bounds", v.ID, len(v.Members))
	}
	return checkMembers("view", v.Members)
}

func validID(id model.NodeID) bool { return id > 0 && id <= model.MaxNodeID }

// checkRecord takes nil for no record.
func checkRecord(r *quorum.Record) error {
	if r == nil {
		return nil
	}
	if r.Number == 0 || (r.WitnessOnly && r.Witness == 0) || len(r.Voters) > maxList || r.Coordinator > model.MaxNodeID {
		return fmt.Errorf("vote record %s is out of bounds", r)
	}
	for i, id := range r.Voters {
		if !validID(id) || (i > 0 && r.Voters[i-1] >= id) {
			return fmt.Errorf("vote record %s: voter %d is out of range or order", r, id)
		}
	}
	return nil
}

func checkMembers(name string, list []model.Member) error {
	if len(list) > maxList {
		return fmt.Errorf("%s of %d members, more than %d", name, len(list), maxList)
	}
	for i, member := range list {
		if !validID(member.ID) || (i > 0 && list[i-1].ID >= member.ID) {
			return fmt.Errorf("%s: node %d is out of range or order", name, member.ID)
		}
	}
	return nil
}

func checkEchoes(list []Echo) error {
	if len(list) > maxList {
		return fmt.Errorf("%d echoes, more than %d", len(list), maxList)
	}
	for i, e := range list {
		if !validID(e.Peer) || (i > 0 && list[i-1].Peer >= e.Peer) || e.Age < 0 || e.Age > maxEcho {
			return fmt.Errorf("echo of node %d is out of range or order", e.Peer)
		}
	}
	return nil
}
