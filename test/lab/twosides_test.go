package lab_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/test/lab"
)

// testSplit: the two sides of a split no longer hear each other on any internal network, and keep everything else.
func testSplit(t *testing.T, l *lab.Lab) {
	startServers(t, l, "node-a", "node-b", "node-c")
	must(t, l.SplitHosts(t.Context(), []string{"node-a"}, []string{"node-b", "node-c"}))
	for _, link := range []struct {
		from, address string
		want          bool
	}{
		{"node-a", "10.77.1.12", false}, {"node-b", "10.77.2.11", false}, {"node-c", "[fd77:2::11]", false}, {"node-a", "10.77.2.13", false},
		{"node-b", "10.77.1.13", true}, {"node-a", "10.77.3.12", true}, {lab.Client, "10.77.2.11", true}, {lab.Client, "10.77.2.12", true},
	} {
		if got := reaches(t, l, link.from, link.address); got != link.want {
			t.Errorf("%s reaches %s: %v, want %v", link.from, link.address, got, link.want)
		}
	}
	must(t, l.HealAll(t.Context()))
	if !reaches(t, l, "node-a", "10.77.1.12") {
		t.Error("healed, and still split")
	}
}

// testCables: a pulled cable takes the carrier, stays pulled over a power cut, and comes back with a repair.
func testCables(t *testing.T, l *lab.Lab) {
	carrier := func() string {
		return exec(t, l, "node-c", "sh", "-c", "cat /sys/class/net/lan0/carrier /sys/class/net/hb0/carrier | xargs")
	}
	must(t, l.CableOut(t.Context(), "node-c", "lan", true))
	if got := carrier(); got != "0 1" {
		t.Errorf("carriers of lan and hb: %q, want 0 and 1", got)
	}
	s, err := l.Status(t.Context())
	must(t, err)
	if len(s.Pulled) != 1 || s.Pulled[0].Host != "node-c" || s.Pulled[0].Network != "lan" {
		t.Errorf("pulled cables: %+v", s.Pulled)
	}
	_, err = l.Kill(t.Context(), "node-c")
	must(t, err)
	must(t, l.Start(t.Context(), "node-c"))
	if got := carrier(); got != "0 1" {
		t.Errorf("after a power cut, carriers of lan and hb: %q, want 0 and 1", got)
	}
	must(t, l.Repair(t.Context()))
	if got := carrier(); got != "1 1" {
		t.Errorf("repaired, carriers of lan and hb: %q, want 1 and 1", got)
	}
	if err := l.CableOut(t.Context(), "node-c", "wifi", true); err == nil || !strings.Contains(err.Error(), "wifi") {
		t.Errorf("a network that is not there: %v", err)
	}
}

// testWitness: every host has the witness disk, with the array's reservations, and its path fails alone.
func testWitness(t *testing.T, l *lab.Lab) {
	open := func(host string) reservation.Device {
		pid, err := l.PID(host)
		must(t, err)
		device, err := reservation.OpenFile("/proc/"+strconv.Itoa(pid)+"/root/array/witness.img", host)
		must(t, err)
		return device
	}
	if got := exec(t, l, "node-a", "stat", "-c", "%s", "/array/witness.img"); got != "67108864" {
		t.Errorf("the witness has %s bytes, want 64 MiB", got)
	}
	key, err := reservation.NewKey(1, 2, 3)
	must(t, err)
	a := open("node-a")
	must(t, a.RegisterIgnore(t.Context(), key))
	must(t, a.Reserve(t.Context(), key))
	if id, err := l.WitnessHolder(t.Context()); err != nil || id != 2 {
		t.Errorf("the witness is held by %d (%v), want node 2", id, err)
	}
	st, err := open("node-b").ReadStatus(t.Context())
	if err != nil || st.Holder != key || !st.Enforced {
		t.Errorf("node-b reads %+v, %v", st, err)
	}
	must(t, l.DiskFail(t.Context(), "node-a", lab.WitnessDisk))
	if _, err := a.ReadStatus(t.Context()); err == nil {
		t.Error("a failed path answers")
	}
	exec(t, l, "node-a", "dd", "if=/array/disk-1.img", "of=/dev/null", "count=1", "status=none")
	must(t, l.Repair(t.Context()))
	must(t, a.RegisterIgnore(t.Context(), 0))
}
