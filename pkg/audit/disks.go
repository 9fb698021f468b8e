package audit

import (
	"fmt"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/snapshot"
)

// ours says that a key is of this cluster. Before the first formation none is.
func (s *scene) ours(k reservation.Key) bool {
	number, err := reservation.ClusterNumber(s.clusterID)
	return err == nil && k.Node() != 0 && k.Epoch() != 0 && k.Cluster() == number
}

// eachDisk visits the disks of groups that somebody has read.
func (s *scene) eachDisk(visit func(*groupScene, *v1alpha1.Resource, *Disk)) {
	for _, g := range s.groups {
		for _, r := range g.resources {
			if name := snapshot.Disk(r); name != "" {
				if d := s.disk(name); d != nil {
					visit(g, r, d)
				}
			}
		}
	}
}

func (d *Disk) evidence(format string, args ...any) Evidence {
	return Evidence{Time: d.At, Source: SourceDisks, Fact: fmt.Sprintf("%s, read by %s: ", d.Device, d.From) + fmt.Sprintf(format, args...)}
}

func describe(k reservation.Key) string {
	if k == 0 {
		return "nobody"
	}
	return fmt.Sprintf("node %d at epoch %d (key %s)", k.Node(), k.Epoch(), k)
}

// keysForeign: nobody but this cluster writes to a disk of its groups (S2).
func keysForeign(s *scene) []suspicion {
	var all []suspicion
	s.eachDisk(func(g *groupScene, r *v1alpha1.Resource, d *Disk) {
		for _, k := range d.Status.Keys {
			if s.ours(k) || s.clusterID == "" {
				continue
			}
			all = append(all, s.suspect("S2", resourceObject(r), "foreign "+k.String(),
				"its disk carries a reservation key that is not of this cluster: another host may write to it",
				"Find out whose key it is (another cluster, another program), and remove it there",
				d.evidence("registered: %s", k), s.fromAPI("this cluster's keys begin with 0x%.6s; group %s is %s", s.clusterID, g.key, g.owner())))
		}
	})
	return all
}

// witness returns what the cluster's disk witness says, or nil.
func (s *scene) witness() *Disk {
	if s.Objects == nil || s.Objects.Quorum == nil || s.Objects.Quorum.Spec.Witness == nil || s.Objects.Quorum.Spec.Witness.Disk == nil {
		return nil
	}
	return s.disk(s.Objects.Quorum.Spec.Witness.Disk.Device)
}

// witnessForeign: the witness disk is this cluster's alone (R8): a foreign key may take its vote.
func witnessForeign(s *scene) []suspicion {
	d := s.witness()
	if d == nil || s.clusterID == "" {
		return nil
	}
	var all []suspicion
	for _, k := range d.Status.Keys {
		if s.ours(k) {
			continue
		}
		all = append(all, s.suspect("S3", "QuorumConfig "+s.Objects.Quorum.Name, "foreign "+k.String(),
			"its witness disk carries a reservation key that is not of this cluster",
			"Find out whose key it is (another cluster, another program), and remove it there; two clusters must not share a witness",
			d.evidence("registered: %s", k), s.fromAPI("this cluster's keys begin with 0x%.6s", s.clusterID)))
	}
	return all
}

// witnessElsewhere is S3: a view whose quorum counts the witness, while the disk says that a node outside of the view holds it.
func witnessElsewhere(s *scene) []suspicion {
	d := s.witness()
	if d == nil || s.view == nil {
		return nil
	}
	published, reporter := s.Objects.Published()
	holder := d.Status.Holder
	if !published.WitnessHeld || !s.ours(holder) || s.view.Has(holder.Node()) {
		return nil
	}
	return []suspicion{s.suspect("S3", "Cluster "+s.Objects.Name, fmt.Sprint("witness ", holder, s.view.ID),
		fmt.Sprintf("its view counts the witness, which is held by node %d, and that is not in the view", holder.Node()),
		"Ask both sides: `quorate-agent quorum status`; stop the groups on the side that does not hold the witness",
		d.evidence("held by %s", describe(holder)), s.fromAPI("%s published view %s with the witness held", reporter.Name, s.view.ID)).
		within(3 * s.options.Motion)}
}

// holderWrong: while a disk is Online, its reservation is the owner's, at the assignment's epoch, of type 5 (O15, O16, S2).
func holderWrong(s *scene) []suspicion {
	var all []suspicion
	s.eachDisk(func(g *groupScene, r *v1alpha1.Resource, d *Disk) {
		if !g.onlineOn(r, g.assigned.Node) {
			return
		}
		holder := d.Status.Holder
		right := s.ours(holder) && holder.Node() == g.assigned.ID && holder.Epoch() == g.assigned.Epoch
		switch {
		case !right:
			all = append(all, s.suspect("S2", resourceObject(r), fmt.Sprint("holder ", holder, g.assigned.Epoch),
				fmt.Sprintf("it is Online on %s at epoch %d, and its disk is held by %s", g.assigned.Node, g.assigned.Epoch, describe(holder)),
				fmt.Sprintf("Look at the agent of %s: it takes the disk offline when it sees the loss; find out who took the reservation", g.assigned.Node),
				d.evidence("held by %s", describe(holder)), s.fromAPI("%s", g.owner())))
		case d.Status.Type != reservation.WriteExclusiveRegistrantsOnly:
			all = append(all, s.suspect("S2", resourceObject(r), fmt.Sprint("type ", d.Status.Type, g.assigned.Epoch),
				fmt.Sprintf("its disk is reserved with type %d instead of %d", d.Status.Type, reservation.WriteExclusiveRegistrantsOnly),
				"Find out who has changed the reservation, and move the group away and back", d.evidence("type %d", d.Status.Type)))
		}
	})
	return all
}

// keysStale: only the holder of a disk is registered; any other key lets its host write (S2, O16).
func keysStale(s *scene) []suspicion {
	var all []suspicion
	s.eachDisk(func(g *groupScene, r *v1alpha1.Resource, d *Disk) {
		for _, k := range d.Status.Keys {
			if k == d.Status.Holder || !s.ours(k) || k.Epoch() > g.assigned.Epoch {
				continue
			}
			grace := s.options.Motion / 2
			if !g.onlineOn(r, g.assigned.Node) {
				// A takeover is under way, or a host has yet to clean up after itself.
				grace = s.stopGrace()
			}
			all = append(all, s.suspect("S2", resourceObject(r), fmt.Sprint("stale ", k, g.assigned.Epoch),
				fmt.Sprintf("its disk carries a stale key: %s may still write to it", describe(k)),
				"Move the group away and back, which removes every other key; if the key returns, look at the agent of that node",
				d.evidence("registered: %s, held by %s", describe(k), describe(d.Status.Holder)), s.fromAPI("group %s is %s", g.key, g.owner())).
				within(grace))
		}
	})
	return all
}

// epochAhead: no disk carries an epoch that was never given out (S5, O7).
func epochAhead(s *scene) []suspicion {
	var all []suspicion
	s.eachDisk(func(g *groupScene, r *v1alpha1.Resource, d *Disk) {
		for _, k := range d.Status.Keys {
			if !s.ours(k) || k.Epoch() <= g.assigned.Epoch || g.assigned.Epoch == 0 {
				continue
			}
			all = append(all, s.suspect("S5", resourceObject(r), fmt.Sprint("ahead ", k, g.assigned.Epoch),
				fmt.Sprintf("its disk carries epoch %d, and the group's is only %d", k.Epoch(), g.assigned.Epoch),
				"After a restore of the API server the epoch is raised by itself within seconds; if not, look at the agents' reports",
				d.evidence("registered: %s", describe(k)), s.fromAPI("%s", g.owner())).within(5*s.options.Motion))
		}
	})
	return all
}
