package validation

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// witnessOfAGroup keeps the witness and the groups apart: what decides who may run a group must not be part of what the group runs. A
// group that is placed keeps its disk, and the QuorumConfig is refused; otherwise the witness does.
func witnessOfAGroup(s *scope) []Finding {
	if s.Quorum == nil || s.Quorum.Spec.Witness == nil {
		return nil
	}
	switch w := s.Quorum.Spec.Witness; {
	case w.Disk != nil:
		return s.diskIsWitness(w.Disk)
	case w.FileShare != nil:
		return s.shareInMount(w.FileShare)
	}
	return nil
}

func (s *scope) diskIsWitness(w *v1alpha1.DiskWitness) []Finding {
	const field = "spec.witness.disk.device"
	var found []Finding
	for _, r := range s.Resources {
		g := s.groups[snapshot.GroupKeyOf(r)]
		if g == nil || snapshot.Disk(r) == "" || path.Clean(snapshot.Disk(r)) != path.Clean(w.Device) {
			continue
		}
		if placed(g) {
			found = append(found, aboutQuorum(s.Quorum, field, v1alpha1.QuorumReasonWitnessInUse,
				fmt.Sprintf("%s is the disk of Resource %s/%s: the witness needs a disk of its own", w.Device, r.Namespace, r.Name)))
			continue
		}
		found = append(found, aboutResource(r, diskField(r), v1alpha1.ResourceReasonDiskInUse,
			fmt.Sprintf("%s is the witness of QuorumConfig %s: a group needs a disk of its own", w.Device, s.Quorum.Name)))
	}
	return found
}

func (s *scope) shareInMount(w *v1alpha1.FileShareWitness) []Finding {
	var found []Finding
	for _, r := range s.Resources {
		if s.groups[snapshot.GroupKeyOf(r)] == nil || !below(w.Path, snapshot.MountPath(r)) {
			continue
		}
		found = append(found, aboutQuorum(s.Quorum, "spec.witness.fileShare.path", v1alpha1.QuorumReasonWitnessInUse,
			fmt.Sprintf("%s is on the disk of Resource %s/%s, which only its owner mounts: use a share of a server outside of the cluster",
				w.Path, r.Namespace, r.Name)))
	}
	return found
}

// witnessTwice refuses a witness that an older QuorumConfig has: what is one vote would count in two clusters. Only names that mean the
// same thing on all hosts are compared; the witness itself refuses a second cluster in any case.
func witnessTwice(s *scope) []Finding {
	if s.Quorum == nil || s.Quorum.Spec.Witness == nil {
		return nil
	}
	field, name := witnessName(s.Quorum.Spec.Witness)
	for _, other := range s.OtherQuorums {
		if name == "" || other.Spec.Witness == nil || !older(other, s.Quorum) {
			continue
		}
		if _, theirs := witnessName(other.Spec.Witness); theirs == name {
			return []Finding{aboutQuorum(s.Quorum, field, v1alpha1.QuorumReasonWitnessInUse,
				fmt.Sprintf("%s is the witness of QuorumConfig %s: each cluster needs one of its own", name, other.Name))}
		}
	}
	return nil
}

func older(a, b *v1alpha1.QuorumConfig) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Name < b.Name
}

// witnessName is a name that is the same for the same witness wherever it is looked at, and the field that has it; empty when there is
// none, as of /dev/sdb or of a mount point, which may be something else on other hosts.
func witnessName(w *v1alpha1.Witness) (field, name string) {
	switch {
	case w.Disk != nil && strings.HasPrefix(path.Clean(w.Disk.Device), "/dev/disk/by-id/"):
		return "spec.witness.disk.device", path.Clean(w.Disk.Device)
	case w.Lease != nil:
		ref := w.Lease.KubeconfigSecretRef
		return "spec.witness.lease", fmt.Sprintf("Lease %s/%s (by Secret %s/%s)", w.Lease.Namespace, w.Lease.Name, ref.Namespace, ref.Name)
	}
	return "", ""
}

func placed(g *v1alpha1.ResourceGroup) bool {
	return g.Status.Assignment != nil && g.Status.Assignment.Node != "" || len(g.Status.Members) > 0
}

// neverQuorate refuses votes that no set of nodes can turn into a majority.
func neverQuorate(s *scope) []Finding {
	if s.Quorum == nil || len(s.Nodes) == 0 || s.Quorum.Spec.Mode == v1alpha1.QuorumDiskOnly {
		return nil
	}
	if slices.ContainsFunc(s.Nodes, func(n *v1alpha1.Node) bool { return n.Spec.Votes == nil || *n.Spec.Votes > 0 }) {
		return nil
	}
	return []Finding{aboutQuorum(s.Quorum, "spec.mode", v1alpha1.QuorumReasonNeverQuorate,
		fmt.Sprintf("all %d Nodes of cluster %s have spec.votes 0, so that nothing is ever a majority: give at least one of them a vote", len(s.Nodes), s.Name))}
}
