package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/loopdev"
	"github.com/quorate/quorate/test/lab/protocol"
)

// mountDisk mounts a new file system on the shared disk 1 of a host.
const mountDisk = `set -e
loop=$(losetup -f --show /array/disk-1.img)
mkfs.ext4 -q -E nodiscard $loop
mkdir -p /srv/quorate/data
mount -o commit=300 $loop /srv/quorate/data
echo kept >/srv/quorate/data/kept
sync -f /srv/quorate/data`

// TestHosts walks through what one lab does, on one lab.
func TestHosts(t *testing.T) {
	l := start(t, "test-hosts", 3)
	t.Run("exec", func(t *testing.T) { testExec(t, l) })
	t.Run("power cut", func(t *testing.T) { testKill(t, l) })
	t.Run("freeze", func(t *testing.T) { testFreeze(t, l) })
	t.Run("links", func(t *testing.T) { testLinks(t, l) })
	t.Run("power cut with a hung disk", func(t *testing.T) { testKillHung(t, l) })
	t.Run("disks", func(t *testing.T) { testDisks(t, l) })
	t.Run("witness", func(t *testing.T) { testWitness(t, l) })
	t.Run("cables", func(t *testing.T) { testCables(t, l) })
	t.Run("split", func(t *testing.T) { testSplit(t, l) })
	t.Run("probe", func(t *testing.T) { testProbe(t, l) })
	t.Run("mistakes", func(t *testing.T) { testMistakes(t, l) })
}

func testExec(t *testing.T, l *lab.Lab) {
	for _, host := range []string{"node-a", "node-c", lab.Client} {
		if got := exec(t, l, host, "hostname"); got != host {
			t.Errorf("host name of %s: %q", host, got)
		}
	}
	var out, problems bytes.Buffer
	s := lab.Streams{In: strings.NewReader("in"), Out: &out, Err: &problems}
	err := l.ExecStreams(t.Context(), s, "node-a", "sh", "-c", "cat; echo problem >&2; exit 7")
	var exit *lab.ExitError
	if !errors.As(err, &exit) || exit.Code != 7 || out.String() != "in" || problems.String() != "problem\n" {
		t.Errorf("got %v, %q, %q", err, out.String(), problems.String())
	}
	err = l.ExecStreams(t.Context(), lab.Streams{}, "node-a", "sh", "-c", "kill -9 $$")
	if !errors.As(err, &exit) || exit.Code != 137 {
		t.Errorf("a killed command: %v, want exit code 137", err)
	}
	if _, err := l.Exec(t.Context(), "node-a", "no-such-command"); !errors.As(err, &exit) || exit.Code != 127 {
		t.Errorf("a command that does not exist: %v, want exit code 127", err)
	}
	if got := exec(t, l, "node-a", "sh", "-c", "touch /usr/x 2>/dev/null || echo read-only"); got != "read-only" {
		t.Errorf("a host can write to the machine's /usr: %q", got)
	}
	if got := exec(t, l, "node-a", "sh", "-c", "ls -d /proc/[0-9]* | wc -l"); got > "8" || len(got) > 1 {
		t.Errorf("a host sees %s processes, want only its own", got)
	}
}

// testKill also holds the promise that a dead host's cached writes never reach the disk, seen on the backing file.
func testKill(t *testing.T, l *lab.Lab) {
	exec(t, l, "node-a", "sh", "-c", mountDisk)
	late := "LATE-WRITE-OF-A-DEAD-HOST"
	exec(t, l, "node-a", "sh", "-c", "yes "+late+" | head -c 1000000 >/srv/quorate/data/late; echo mine >/var/lib/quorate/own")
	exec(t, l, "node-a", "sh", "-c", "sync -f /var/lib/quorate; setsid sleep 1000 >/dev/null 2>&1 </dev/null &")
	before := hostStatus(t, l, "node-a")
	if containsOnDisk(t, l, 1, late) {
		t.Fatal("the late write is on the disk already: the test shows nothing")
	}
	report, err := l.Kill(t.Context(), "node-a")
	must(t, err)
	t.Logf("disks %v, links %v, dead %v, cleaned %v", report.DisksCut, report.LinksCut, report.Dead, report.Cleaned)
	if report.DisksCut > report.LinksCut || report.LinksCut > report.Dead || report.Cut.Monotonic == 0 {
		t.Errorf("wrong order: %+v", report)
	}
	if containsOnDisk(t, l, 1, late) {
		t.Error("a dead host's write reached the disk")
	}
	if h := hostStatus(t, l, "node-a"); h.State != protocol.HostDown {
		t.Errorf("state %s", h.State)
	}
	if _, err := l.Exec(t.Context(), "node-a", "true"); err == nil {
		t.Error("a dead host runs commands")
	}
	must(t, l.Start(t.Context(), "node-a"))
	after := hostStatus(t, l, "node-a")
	bootID := exec(t, l, "node-a", "cat", "/proc/sys/kernel/random/boot_id")
	if before.BootID == after.BootID || bootID != after.BootID || after.Boots != 2 {
		t.Errorf("boot ids %s, %s and %s, %d boots: want a new one", before.BootID, after.BootID, bootID, after.Boots)
	}
	if got := exec(t, l, "node-a", "sh", "-c", "cat /var/lib/quorate/own; ls /run; losetup -j /array/disk-1.img"); got != "mine\nlock\nsysrq-trigger" {
		t.Errorf("after a boot: %q, want the own disk as it was, an empty /run but for its lock directory and its reset button, no loop device", got)
	}
	remount := `l=$(losetup -f --show /array/disk-1.img); fsck.ext4 -p $l >/dev/null; mkdir -p /srv/quorate/data; ` +
		`mount $l /srv/quorate/data; cat /srv/quorate/data/kept; ls /srv/quorate/data; umount /srv/quorate/data; losetup -d $l`
	if got := exec(t, l, "node-b", "sh", "-c", remount); !strings.HasPrefix(got, "kept\n") || strings.Contains(got, "late") {
		t.Errorf("the next host sees %q", got)
	}
}

// testKillHung: what waits for a disk in the kernel must not keep a dead host half alive.
func testKillHung(t *testing.T, l *lab.Lab) {
	exec(t, l, "node-c", "sh", "-c", mountDisk)
	must(t, l.DiskHang(t.Context(), "node-c", 0))
	exec(t, l, "node-c", "sh", "-c", "setsid dd if=/dev/zero of=/srv/quorate/data/x bs=64k count=50 conv=fsync >/dev/null 2>&1 </dev/null &")
	time.Sleep(50 * time.Millisecond)
	report, err := l.Kill(t.Context(), "node-c")
	must(t, err)
	if report.Cleaned > 2*time.Second {
		t.Errorf("the power cut took %v", report.Cleaned)
	}
	must(t, l.DiskHeal(t.Context(), "node-c", 0))
	must(t, l.Start(t.Context(), "node-c"))
	if _, err := l.Exec(t.Context(), "node-c", "dd", "if=/array/disk-1.img", "of=/dev/null", "count=1"); err != nil {
		t.Errorf("after a boot the disk does not answer: %v", err)
	}
}

func testFreeze(t *testing.T, l *lab.Lab) {
	exec(t, l, "node-b", "sh", "-c", "setsid sh -c 'while :; do date +%s%N >/run/tick.new; mv /run/tick.new /run/tick; sleep 0.01; done' >/dev/null 2>&1 </dev/null &")
	tick := func() string {
		pid := hostInit(t, l, "node-b")
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/run/tick", pid))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(content)
	}
	must(t, l.Freeze(t.Context(), "node-b"))
	first := tick()
	time.Sleep(100 * time.Millisecond)
	if tick() != first || hostStatus(t, l, "node-b").State != protocol.HostFrozen {
		t.Error("a frozen host goes on")
	}
	must(t, l.Thaw(t.Context(), "node-b"))
	eventually(t, 2*time.Second, func() error {
		if tick() == first {
			return errors.New("a thawed host does not go on")
		}
		return nil
	})
	must(t, l.Freeze(t.Context(), "node-b"))
	_, err := l.Kill(t.Context(), "node-b")
	must(t, err)
	must(t, l.Start(t.Context(), "node-b"))
}

func testLinks(t *testing.T, l *lab.Lab) {
	startServers(t, l, "node-a", "node-b")
	const aHB, aLAN, aLAN6, bHB, bLAN = "10.77.1.11", "10.77.2.11", "[fd77:2::11]", "10.77.1.12", "10.77.2.12"
	check := func(t *testing.T, from, address string, want bool) {
		t.Helper()
		if got := reaches(t, l, from, address); got != want {
			t.Errorf("%s reaches %s: %v, want %v", from, address, got, want)
		}
	}
	all := func(t *testing.T, want bool) {
		t.Helper()
		check(t, "node-a", bHB, want)
		check(t, "node-b", aHB, want)
		check(t, "node-b", aLAN, want)
		check(t, "node-b", aLAN6, want)
		check(t, "node-c", aHB, want)
	}
	all(t, true)
	cases := map[string]struct {
		link lab.Link
		test func(t *testing.T)
	}{
		"one network between two": {lab.Link{A: "node-a", B: "node-b", Network: "hb"}, func(t *testing.T) {
			check(t, "node-b", aHB, false)
			check(t, "node-b", aLAN, true)
			check(t, "node-c", aHB, true)
		}},
		"isolation leaves the client": {lab.Link{A: "node-a", B: "all"}, func(t *testing.T) {
			all(t, false)
			check(t, lab.Client, aLAN, true)
			check(t, lab.Client, aLAN6, true)
			check(t, "node-c", bLAN, true)
		}},
		"the client alone": {lab.Link{A: "node-a", B: lab.Client, Network: "lan"}, func(t *testing.T) {
			check(t, lab.Client, aLAN, false)
			all(t, true)
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			must(t, l.Cut(t.Context(), tc.link))
			tc.test(t)
			must(t, l.Heal(t.Context(), tc.link))
			all(t, true)
		})
	}
	t.Run("one way, seen by datagrams", func(t *testing.T) {
		must(t, l.Cut(t.Context(), lab.Link{A: "node-a", B: "node-b", Network: "hb", OneWay: true}))
		s, err := l.Status(t.Context())
		must(t, err)
		if len(s.Faults) != 1 || s.Faults[0].From != "node-a" {
			t.Errorf("faults %+v", s.Faults)
		}
		before := received(t, l, "node-a")
		_ = reaches(t, l, "node-b", aHB)
		if received(t, l, "node-a") == before {
			t.Error("nothing arrives in the direction that is whole")
		}
		check(t, "node-b", aHB, false)
		must(t, l.HealAll(t.Context()))
		all(t, true)
	})
	t.Run("loss", func(t *testing.T) {
		must(t, l.Degrade(t.Context(), lab.Link{A: "node-a", B: lab.Client, Network: "lan"}, 300))
		p, err := l.Probe(t.Context(), lab.ProbeOptions{URL: "http://" + aLAN + "/", For: time.Second, Timeout: 200 * time.Millisecond})
		must(t, err)
		<-p.Done()
		r, err := p.Stop()
		must(t, err)
		if share := float64(r.Failed) / float64(r.Sent); share < 0.2 || share > 0.98 {
			t.Errorf("%d of %d requests failed at 30%% loss", r.Failed, r.Sent)
		}
		must(t, l.HealAll(t.Context()))
	})
	t.Run("faults outlive a power cut", func(t *testing.T) {
		must(t, l.Cut(t.Context(), lab.Link{A: "node-a", B: "node-b", Network: "hb"}))
		_, err := l.Kill(t.Context(), "node-a")
		must(t, err)
		must(t, l.Start(t.Context(), "node-a"))
		startServers(t, l, "node-a")
		check(t, "node-b", aHB, false)
		must(t, l.HealAll(t.Context()))
		all(t, true)
	})
}

// received counts the packets that arrived on a host's heartbeat network.
func received(t *testing.T, l *lab.Lab, host string) string {
	t.Helper()
	return exec(t, l, host, "cat", "/sys/class/net/hb0/statistics/rx_packets")
}

func testDisks(t *testing.T, l *lab.Lab) {
	read := []string{"timeout", "0.3", "dd", "if=/array/disk-2.img", "of=/dev/null", "count=1"}
	works := func(host string) bool {
		_, err := l.Exec(t.Context(), host, read...)
		return err == nil
	}
	for state, do := range map[string]func(context.Context, string, int) error{"failed": l.DiskFail, "hung": l.DiskHang} {
		must(t, do(t.Context(), "node-a", 2))
		if works("node-a") || !works("node-b") {
			t.Errorf("a path that is %s must stop its host and no other", state)
		}
		if got := hostStatus(t, l, "node-a").Paths[1]; string(got) != state {
			t.Errorf("path state %q, want %q", got, state)
		}
		must(t, l.DiskHeal(t.Context(), "node-a", 0))
		if !works("node-a") {
			t.Errorf("a path that was %s is not whole again", state)
		}
	}
	s, err := l.Status(t.Context())
	must(t, err)
	if len(s.Disks) != 9 || s.Disks[8].File != "/array/witness.img" || s.Disks[1].File != "/array/"+array.DiskName(2) || !s.Disks[1].Reservation.Enforced {
		t.Errorf("disks: %+v", s.Disks)
	}
}

func testProbe(t *testing.T, l *lab.Lab) {
	p, err := l.Probe(t.Context(), lab.ProbeOptions{URL: "http://10.77.2.12/", Timeout: 300 * time.Millisecond, UntilOutage: true})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	must(t, p.Answered(ctx))
	cut := lab.Link{A: "node-b", B: lab.Client, Network: "lan"}
	must(t, l.Cut(t.Context(), cut))
	time.Sleep(200 * time.Millisecond)
	must(t, l.Heal(t.Context(), cut))
	select {
	case <-p.Done():
	case <-ctx.Done():
		t.Error("the probe does not end after the outage")
	}
	r, err := p.Stop()
	must(t, err)
	if len(r.Outages) != 1 || r.Outages[0].Length < 200*time.Millisecond || r.Outages[0].Length > time.Second || r.Outages[0].HostAfter != "node-b" {
		t.Errorf("report %+v, want one outage of a little more than 200 ms", r)
	}
}

func testMistakes(t *testing.T, l *lab.Lab) {
	ctx := t.Context()
	_, killErr := l.Kill(ctx, lab.Client)
	cases := map[string]error{
		"kill the client":        killErr,
		"start what is up":       l.Start(ctx, "node-a"),
		"no such host":           l.Freeze(ctx, "node-z"),
		"no such network":        l.Cut(ctx, lab.Link{A: "node-a", B: "node-b", Network: "wifi"}),
		"a link to itself":       l.Cut(ctx, lab.Link{A: "node-a", B: "node-a"}),
		"no such disk":           l.DiskFail(ctx, "node-a", 9),
		"disks of the client":    l.DiskFail(ctx, lab.Client, 1),
		"no API server to stop":  l.StopAPI(ctx),
		"no such process":        l.KillProcess(ctx, "node-a", "agent"),
		"loss beyond everything": l.Degrade(ctx, lab.Link{A: "node-a", B: "node-b"}, 1001),
		"a second lab of a name": upAgain(ctx, l.Name()),
	}
	for name, err := range cases {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func upAgain(ctx context.Context, name string) error {
	_, err := lab.Up(ctx, lab.Options{Name: name, BinDir: binDir, NoControlPlane: true}, nil)
	return err
}

// hostInit is the process id of a host's first process on the machine.
func hostInit(t *testing.T, l *lab.Lab, host string) int {
	t.Helper()
	layout, err := protocol.NewLayout(l.Name())
	must(t, err)
	pid, err := cgroupOf(t, layout).Sub(host).Sub("init").First()
	must(t, err)
	return pid
}

// TestTwoLabs: labs do not see each other, and one's end does not touch the other.
func TestTwoLabs(t *testing.T) {
	one, two := start(t, "test-one", 1), start(t, "test-two", 1)
	for _, l := range []*lab.Lab{one, two} {
		exec(t, l, "node-a", "sh", "-c", mountDisk)
		exec(t, l, "node-a", "sh", "-c", "echo "+l.Name()+" >/srv/quorate/data/kept")
	}
	must(t, one.Down(t.Context()))
	nothingLeft(t, one.Name())
	if got := exec(t, two, "node-a", "sh", "-c", "sync -f /srv/quorate/data && cat /srv/quorate/data/kept"); got != two.Name() {
		t.Errorf("the other lab's disk: %q", got)
	}
}

// TestCrash: however the lab's processes end, nothing is left.
func TestCrash(t *testing.T) {
	for name, victims := range map[string][]string{
		"daemon": {"internal-daemon"}, "keeper": {"internal-keeper"}, "both": {"internal-keeper", "internal-daemon"},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, "test-crash-"+name, 2)
			exec(t, l, "node-a", "sh", "-c", mountDisk)
			exec(t, l, "node-b", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 </dev/null &")
			must(t, l.DiskHang(t.Context(), "node-a", 0))
			exec(t, l, "node-a", "sh", "-c", "setsid dd if=/dev/zero of=/srv/quorate/data/x bs=64k count=9 conv=fsync >/dev/null 2>&1 </dev/null &")
			loops := attachedLoops(t, l)
			if len(loops) != 1 {
				t.Fatalf("loop devices of the lab: %v, want one", loops)
			}
			pids := processes(t, l.Name())
			for _, victim := range victims {
				must(t, syscall.Kill(pids[victim], syscall.SIGKILL))
			}
			if name != "daemon" {
				must(t, l.Down(t.Context())) // no keeper is left to clean up
			}
			eventually(t, 5*time.Second, func() error {
				if _, err := os.Stat(filepath.Dir(l.Kubeconfig())); !os.IsNotExist(err) {
					return fmt.Errorf("files are left: %w", err)
				}
				return nil
			})
			for _, d := range loops {
				if name, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", d.Number)); err == nil && !inUseByOthers(t, d) {
					t.Errorf("%s is left over %s", d.Path(), name)
				}
			}
			nothingLeft(t, l.Name())
		})
	}
}

// attachedLoops finds the loop devices over a lab's disks.
func attachedLoops(t *testing.T, l *lab.Lab) []loopdev.Device {
	t.Helper()
	layout, err := protocol.NewLayout(l.Name())
	must(t, err)
	content, err := os.ReadFile(layout.FilesFile())
	must(t, err)
	var all []loopdev.Files
	for line := range strings.Lines(string(content)) {
		var files loopdev.Files
		must(t, json.Unmarshal([]byte(line), &files))
		all = append(all, files)
	}
	found, err := loopdev.On(all...)
	must(t, err)
	return found
}

// inUseByOthers says whether another lab has taken the device meanwhile.
func inUseByOthers(t *testing.T, was loopdev.Device) bool {
	t.Helper()
	same, err := loopdev.On(loopdev.Files{Device: was.Backing, FirstInode: was.Inode, Count: 1})
	must(t, err)
	return len(same) == 0
}

// TestInterruptedUp: whoever interrupts up is left with nothing.
func TestInterruptedUp(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := lab.Options{Name: "test-interrupt", Hosts: 3, BinDir: binDir, NoControlPlane: true}
	if _, err := lab.Up(ctx, o, func(lab.Progress) { cancel() }); err == nil {
		t.Error("an interrupted up succeeds")
		must(t, lab.Down(t.Context(), o.Name))
	}
	nothingLeft(t, o.Name)
	must(t, lab.Down(t.Context(), o.Name)) // again is no error
	nothingLeft(t, o.Name)
}
