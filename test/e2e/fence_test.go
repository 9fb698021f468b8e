package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

const (
	// hold is T of the samples: interval 250 ms, threshold 4. Nobody keeps quorum for longer after its last datagram.
	hold = time.Second
	// late is how much later than its deadline anything may be gone.
	late = 200 * time.Millisecond
)

// pinger asks one host's own network card for an address, whoever else takes the address meanwhile.
type pinger struct {
	out  bytes.Buffer
	done chan error
}

// ping begins to ping the address, from the client, at the network card that answers for it now.
func ping(t *testing.T, ctx context.Context, s site, length time.Duration) *pinger {
	t.Helper()
	script := `dev=$(ip -o route get ` + s.address + ` | sed 's/.* dev \([^ ]*\).*/\1/')
ping -c 1 -W 2 ` + s.address + ` > /dev/null
mac=$(ip neigh show ` + s.address + ` dev "$dev" | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p')
ip neigh replace ` + s.address + ` lladdr "$mac" dev "$dev" nud permanent
ping -D -n -i 0.02 -w ` + strconv.Itoa(int(length.Seconds())) + ` ` + s.address + `
ip neigh del ` + s.address + ` dev "$dev"`
	p := &pinger{done: make(chan error, 1)}
	go func() {
		p.done <- theLab.ExecStreams(ctx, lab.Streams{Out: &p.out, Err: &p.out}, lab.Client, "sh", "-c", script)
	}()
	time.Sleep(300 * time.Millisecond)
	return p
}

// last is when the last answer arrived.
func (p *pinger) last(t *testing.T) time.Time {
	t.Helper()
	must(t, <-p.done)
	var last time.Time
	for lines := bufio.NewScanner(&p.out); lines.Scan(); {
		// [1732748411.123456] 64 bytes from ...
		stamp, rest, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "["), "] ")
		if !ok || !strings.Contains(rest, "bytes from") {
			continue
		}
		seconds, err := strconv.ParseFloat(stamp, 64)
		must(t, err)
		last = time.UnixMicro(int64(seconds * 1e6))
	}
	if last.IsZero() {
		t.Fatalf("no answer at all:\n%s", p.out.String())
	}
	return last
}

// The kernel silences the old address when neither the agent nor the guardian can do anything, and when nothing at all runs on the
// host: measured at the host's own network card, where the address still is.
func TestAddressFallsSilentByItself(t *testing.T) {
	for name, tc := range map[string]struct {
		stop, resume func(ctx context.Context) error
	}{
		"agent and guardian hang": {
			stop: func(ctx context.Context) error {
				_, err := theLab.Exec(ctx, "node-a", "pkill", "-STOP", "-f", "quorate-agent (run|guardian)")
				return err
			},
			resume: func(ctx context.Context) error {
				_, err := theLab.Exec(ctx, "node-a", "pkill", "-CONT", "-f", "quorate-agent (run|guardian)")
				return err
			},
		},
		"everything is frozen": {
			stop:   func(ctx context.Context) error { return theLab.Freeze(ctx, "node-a") },
			resume: func(ctx context.Context) error { return theLab.Thaw(ctx, "node-a") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			// With agent and guardian stopped, nothing but the kernel is left to end anything (S4): what is asked for here is that the
			// address falls silent all the same.
			ctx := beginUnwatched(t)
			p := ping(t, ctx, shop, 5*time.Second)
			must(t, theLab.Cut(ctx, lab.Link{A: "node-a", B: "all", Network: "all"}))
			must(t, tc.stop(ctx))
			stopped := time.Now()
			last := p.last(t)
			t.Logf("the last answer came %s after all that could stop it had stopped", last.Sub(stopped))
			if last.After(stopped.Add(hold + late)) {
				t.Errorf("the address answered for %s without quorum", last.Sub(stopped)-hold)
			}
			movedFrom(t, ctx, shop, "node-a")
			must(t, tc.resume(ctx))
			nothingLeft(t, ctx, shop.address, "/srv/quorate/shop", "node-a")
			must(t, theLab.Heal(ctx, lab.Link{A: "node-a", B: "all", Network: "all"}))
			must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-a"))
		})
	}
}

// groupOf is the control group of a process of the host, as the host sees it.
func groupOf(t *testing.T, ctx context.Context, host string, pid int) string {
	t.Helper()
	out, err := theLab.Exec(ctx, host, "sh", "-c", fmt.Sprintf("grep -lx %d /sys/fs/cgroup/quorate/*/cgroup.procs", pid))
	must(t, err)
	return strings.TrimSuffix(strings.TrimSpace(out), "/cgroup.procs")
}

// join runs a script among the processes of a control group, and leaves it there.
func join(t *testing.T, ctx context.Context, host, group, script string) {
	t.Helper()
	_, err := theLab.Exec(ctx, host, "setsid", "-f", "sh", "-c",
		"echo 0 > "+group+"/cgroup.procs; exec > /dev/null 2>&1 < /dev/null; "+script)
	must(t, err)
}

// groupGone waits until no process is in the control group of a host, and returns when one was seen last and the deadline that the host's
// lease sets, both in time since boot.
func groupGone(t *testing.T, ctx context.Context, host, group string) (seen, deadline time.Duration) {
	t.Helper()
	script := "grep -qs '^populated 1' " + group + "/cgroup.events && echo alive; base64 -w 0 /run/quorate/lease"
	for begin := time.Now(); time.Since(begin) < 30*time.Second; {
		at := runstate.BootTime()
		out, err := theLab.Exec(ctx, host, "sh", "-c", script)
		must(t, err)
		rest, alive := strings.CutPrefix(out, "alive\n")
		if alive {
			seen = at
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
		must(t, err)
		lease, err := runstate.ParseLease(raw)
		must(t, err)
		return seen, lease.StopBegins() + lease.SelfFence
	}
	t.Fatalf("processes of %s still run on %s", group, host)
	return 0, 0
}

// The deadline is kept on a host that is full: a process that is stopped and deaf to signals, others that fork faster than they can be
// listed, and more that use all of the CPU.
func TestDeadlineUnderLoad(t *testing.T) {
	ctx := begin(t)
	host, pid := oneInstance(t, ctx, shop)
	group := groupOf(t, ctx, host, pid)
	join(t, ctx, host, group, `trap '' TERM; echo 'sh "$0" & exit' > /tmp/rabbit
for i in 1 2 3 4; do sh /tmp/rabbit & sh -c 'while :; do :; done' & done; wait`)
	time.Sleep(time.Second)
	_, err := theLab.Exec(ctx, host, "kill", "-STOP", strconv.Itoa(pid))
	must(t, err)
	must(t, theLab.Cut(ctx, lab.Link{A: host, B: "all", Network: "all"}))
	seen, deadline := groupGone(t, ctx, host, group)
	t.Logf("processes were seen last %s before the deadline", deadline-seen)
	if seen > deadline+late {
		t.Errorf("a process outlived its deadline by %s", seen-deadline)
	}
	nothingLeft(t, ctx, shop.address, "/srv/quorate/shop", host)
	movedFrom(t, ctx, shop, host)
}

// resets is how often a host has reset itself.
func resets(t *testing.T, ctx context.Context, host string) int {
	t.Helper()
	status, err := theLab.Status(ctx)
	must(t, err)
	for _, h := range status.Hosts {
		if h.Name == host {
			return h.Resets
		}
	}
	t.Fatalf("no host %s", host)
	return 0
}

// The group's disk hangs under a process that writes to it: neither can the process be killed nor the file system be shut down. The
// host resets itself, and comes back clean; the group goes on elsewhere with all that it had acknowledged.
func TestHostThatCannotStopResetsItself(t *testing.T) {
	ctx := begin(t)
	host, _ := oneInstance(t, ctx, shop)
	before, count := resets(t, ctx, host), ask(t, ctx, shop).Count
	must(t, theLab.DiskHang(ctx, host, 1))
	if out, err := theLab.Exec(ctx, lab.Client, "curl", "-sS", "--max-time", "0.3", shop.url); err == nil {
		t.Errorf("the disk hangs, and yet a visit was counted on it: %s", out)
	}
	must(t, theLab.Cut(ctx, lab.Link{A: host, B: "all", Network: "all"}))
	must(t, observe.Wait(ctx, 20*time.Second, "a reset of "+host, func(ctx context.Context) (bool, string, error) {
		n := resets(t, ctx, host)
		return n == before+1, fmt.Sprint(n), nil
	}))
	g := movedFrom(t, ctx, shop, host)
	if after := ask(t, ctx, shop); after.Count <= count || after.Host != g.Status.Assignment.Node {
		t.Errorf("%d visits were counted, then %+v", count, after)
	}
	must(t, theLab.Heal(ctx, lab.Link{A: host, B: "all", Network: "all"}))
	must(t, theLab.DiskHeal(ctx, host, 1))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, host))
}
