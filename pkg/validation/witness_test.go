package validation

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

func quorumConfig(name string, age time.Duration, w *v1alpha1.Witness) *v1alpha1.QuorumConfig {
	return &v1alpha1.QuorumConfig{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Time{Time: made.Add(-age)}},
		Spec:       v1alpha1.QuorumConfigSpec{ClusterName: name, Mode: v1alpha1.QuorumNodeAndDiskMajority, Witness: w},
	}
}

// TestCheckQuorum: each QuorumConfig that could do harm, or never help, is refused with what to do.
func TestCheckQuorum(t *testing.T) {
	onDisk := func(device string) *v1alpha1.Witness {
		return &v1alpha1.Witness{Disk: &v1alpha1.DiskWitness{Device: device}}
	}
	lease := func(secret string) *v1alpha1.Witness {
		return &v1alpha1.Witness{Lease: &v1alpha1.LeaseWitness{
			KubeconfigSecretRef: v1alpha1.SecretReference{Namespace: "quorate-system", Name: secret}, Namespace: "quorate-witness", Name: "east",
		}}
	}
	const wwn = "/dev/disk/by-id/wwn-0x6001405a1b2c3d4e"
	with := func(mine *v1alpha1.Witness, others ...*v1alpha1.QuorumConfig) func(*snapshot.Objects) {
		return func(o *snapshot.Objects) { o.Quorum, o.OtherQuorums = quorumConfig("demo", 0, mine), others }
	}
	noVotes := func(mode v1alpha1.QuorumMode) func(*snapshot.Objects) {
		return func(o *snapshot.Objects) {
			with(onDisk(wwn))(o)
			o.Quorum.Spec.Mode = mode
			for _, n := range o.Nodes {
				n.Spec.Votes = new(int32)
			}
		}
	}
	for name, tc := range map[string]struct {
		spoil func(*snapshot.Objects)
		want  string
	}{
		"a disk of its own": {with(onDisk(wwn), quorumConfig("west", time.Hour, onDisk(wwn+"5"))), ""},
		"the disk of an older cluster": {with(onDisk(wwn), quorumConfig("west", time.Hour, onDisk("/dev/disk/by-id//wwn-0x6001405a1b2c3d4e"))),
			"spec.witness.disk.device: " + wwn + " is the witness of QuorumConfig west: each cluster needs one of its own"},
		"the disk of a younger cluster":      {with(onDisk(wwn), quorumConfig("west", -time.Hour, onDisk(wwn))), ""},
		"made at once: the first name stays": {with(onDisk(wwn), quorumConfig("alpha", 0, onDisk(wwn))), "QuorumConfig alpha"},
		"a name that may be another disk":    {with(onDisk("/dev/sdb"), quorumConfig("west", time.Hour, onDisk("/dev/sdb"))), ""},
		"the Lease of an older cluster":      {with(lease("key"), quorumConfig("west", time.Hour, lease("key"))), "spec.witness.lease: Lease quorate-witness/east (by Secret quorate-system/key) is the witness of QuorumConfig west"},
		"a Lease of another server":          {with(lease("key"), quorumConfig("west", time.Hour, lease("other"))), ""},
		"another cluster without a witness":  {with(onDisk(wwn), quorumConfig("west", time.Hour, nil)), ""},
		"the disk of a group that runs": {func(o *snapshot.Objects) {
			with(onDisk("/array//disk-1.img"))(o)
			o.Groups[0].Status.Assignment = &v1alpha1.Assignment{Node: "a", Epoch: 1}
		}, "spec.witness.disk.device: /array//disk-1.img is the disk of Resource demo/shop-disk: the witness needs a disk of its own"},
		"the disk of a group that does not run": {with(onDisk("/array/disk-1.img")), ""}, // the Resource is refused
		"a share on a group's disk": {with(&v1alpha1.Witness{FileShare: &v1alpha1.FileShareWitness{Path: "/srv/quorate/shop/witness"}}),
			"spec.witness.fileShare.path: /srv/quorate/shop/witness is on the disk of Resource demo/shop-disk"},
		"nobody has a vote":         {noVotes(v1alpha1.QuorumNodeAndDiskMajority), "give at least one of them a vote"},
		"nobody needs a vote":       {noVotes(v1alpha1.QuorumDiskOnly), ""},
		"no QuorumConfig":           {func(*snapshot.Objects) {}, ""},
		"a QuorumConfig without it": {with(nil), ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := good()
			tc.spoil(o)
			found := CheckQuorum(o)
			if tc.want == "" && len(found) > 0 || tc.want != "" && (len(found) != 1 || !strings.Contains(found[0].Text(), tc.want)) {
				t.Errorf("findings %+v, want %q", found, tc.want)
			}
		})
	}
	o := good()
	with(onDisk("/array/disk-1.img"))(o)
	if all := Check(o).All(); len(all) != 1 || !strings.Contains(all[0].Text(), "shop-disk: spec.loopbackDisk.file: /array/disk-1.img is the witness of QuorumConfig demo: a group needs a disk of its own") {
		t.Errorf("a group that wants the witness: %+v", all)
	}
}
