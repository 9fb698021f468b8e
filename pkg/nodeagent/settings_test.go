package nodeagent

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

var testKey = []byte("0123456789abcdef")

func testSettings() *Settings {
	cluster := &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	cluster.Spec.Networks = []v1alpha1.ClusterNetwork{
		{Name: "hb", CIDRs: []string{"10.1.0.0/24"}, Role: v1alpha1.NetworkInternal},
		{Name: "lan", CIDRs: []string{"10.2.0.0/24"}, Role: v1alpha1.NetworkInternalAndClient},
		{Name: "mgmt", CIDRs: []string{"10.3.0.0/24"}, Role: v1alpha1.NetworkNone},
	}
	cluster.Spec.Heartbeat.Threshold = new(int32(3))
	cluster.Status.ClusterID = "00000000000000aa"
	node := func(name string, id int32, hb, lan string) *v1alpha1.Node {
		n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}
		n.Status.ID = id
		n.Spec.Addresses = []v1alpha1.NodeAddress{{Network: "hb", Address: hb}, {Network: "lan", Address: lan}, {Network: "lan", Address: "fd00::1"}}
		return n
	}
	a, b := node("node-a", 1, "10.1.0.1", "10.2.0.1"), node("node-b", 2, "10.1.0.2", "")
	b.Spec.Votes = new(int32(0))
	b.Status.Agent = &v1alpha1.AgentStatus{Guards: &v1alpha1.AgentGuards{Addresses: true}}
	unnumbered, stranger := node("node-c", 0, "10.1.0.3", ""), node("node-d", 4, "10.1.0.4", "")
	stranger.Spec.ClusterName = "other"
	return settingsFrom(a, cluster, nil, []*v1alpha1.Node{b, unnumbered, stranger, a}, secrets{keys: [][]byte{testKey}})
}

func TestSettings(t *testing.T) {
	s := testSettings()
	want := membership.Config{
		Self: 1, Interval: 250 * time.Millisecond, Threshold: 3, DynamicVotes: true,
		Nodes: []membership.NodeConfig{{ID: 1, Votes: 1}, {ID: 2, Votes: 0}},
	}
	if diff := cmp.Diff(want, s.membership()); diff != "" {
		t.Errorf("membership (-want +got):\n%s", diff)
	}
	transport, err := s.transport()
	if err != nil {
		t.Fatal(err)
	}
	wantTransport := heartbeat.Config{
		ClusterID: 0xaa, Self: 1, Port: heartbeat.DefaultPort, Keys: [][]byte{testKey}, Silence: 750 * time.Millisecond,
		Networks: []heartbeat.Network{
			{Name: "hb", Local: netip.MustParseAddr("10.1.0.1"), Peers: map[model.NodeID]netip.Addr{2: netip.MustParseAddr("10.1.0.2")}},
			{Name: "lan", Local: netip.MustParseAddr("10.2.0.1"), Peers: map[model.NodeID]netip.Addr{}},
		},
	}
	if diff := cmp.Diff(wantTransport, transport, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("transport (-want +got):\n%s", diff)
	}
	s.Nodes[1].Watchdog = 4 * time.Second
	if f := fencingOf(s); f.Watchdogs[2] != 4200*time.Millisecond || f.Watchdogs[1] != 0 {
		t.Errorf("O14: watchdogs: %v", f.Watchdogs)
	}
	if f := fencingOf(s); !f.GuardsAddresses[2] || f.GuardsAddresses[1] {
		t.Errorf("guards: %v", f.GuardsAddresses)
	}
}

func TestSettingsValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Settings)
		ok     bool
	}{
		"usable":           {func(*Settings) {}, true},
		"not formed":       {func(s *Settings) { s.ClusterID = "" }, false},
		"garbled id":       {func(s *Settings) { s.ClusterID = "xyz" }, false},
		"no id":            {func(s *Settings) { s.Self = 0 }, false},
		"no key":           {func(s *Settings) { s.Keys = nil }, false},
		"not in the list":  {func(s *Settings) { s.Self = 9 }, false},
		"threshold of one": {func(s *Settings) { s.Threshold = 1 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSettings()
			tc.change(s)
			if err := s.validate(); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestFiles: what is kept comes back, for root only; promises of another boot do not.
func TestFiles(t *testing.T) {
	f, err := openFiles(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := f.loadSettings(); s != nil || err != nil {
		t.Errorf("an empty directory gave %+v, %v", s, err)
	}
	s := testSettings()
	if err := f.saveSettings(s); err != nil {
		t.Fatal(err)
	}
	got, err := f.loadSettings()
	if err != nil || !s.equal(got) {
		t.Errorf("settings came back as %+v, %v", got, err)
	}
	info, err := os.Stat(filepath.Join(f.stateDir, settingsFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the keys has mode %v, %v", info.Mode(), err)
	}
	if err := f.saveVolatile("boot-1", &membership.Volatile{Incarnation: 3, Sequence: 9}); err != nil {
		t.Fatal(err)
	}
	if v, err := f.loadVolatile("boot-1"); err != nil || v == nil || v.Sequence != 9 {
		t.Errorf("in the same boot: %+v, %v", v, err)
	}
	if v, err := f.loadVolatile("boot-2"); err != nil || v != nil {
		t.Errorf("after a reboot: %+v, %v", v, err)
	}
	if err := os.WriteFile(filepath.Join(f.stateDir, persistentFile), []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.loadPersistent(); err == nil {
		t.Error("a garbled file counts as none: the node would forget what it promised")
	}
}
