package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// bound is more than any failover of the second act may take for a client: detection, the witness, fencing, the start, and a busy
// machine. What it takes on a quiet one is measured by `make bench-quorum`.
const bound = 10 * time.Second

func (d *demo) twoHosts() []step {
	return []step{
		{"Two hosts, and a disk that both reach", d.up},
		{"The same two groups, with a disk witness, from config/samples/two-node", d.apply},
		{"One of the two holds the witness", d.holds},
		{"Split in the middle: both hosts run, keep disks and clients, and no longer hear each other", d.split},
		{"Healed: the loser rejoins with nothing running, and its group fails back", d.healed},
		{"Power cut of the host that holds the witness", d.cutHolder},
		{"The host comes back", d.returned},
	}
}

// witnessHolder is the host that holds the witness disk, by the array's own word.
func (d *demo) witnessHolder(ctx context.Context) (string, error) {
	id, err := d.lab.WitnessHolder(ctx)
	if err != nil || id == 0 {
		return "", err
	}
	for _, host := range d.act.hosts {
		n, err := d.cluster.Node(ctx, host)
		if err != nil {
			return "", err
		}
		if n.Status.ID == int32(id) {
			return host, nil
		}
	}
	return "", fmt.Errorf("the witness is held by node id %d, which is none of this cluster", id)
}

// held waits until a host holds the witness; any of them if want is empty.
func (d *demo) held(ctx context.Context, want string) (string, error) {
	var holder string
	err := observe.Wait(ctx, 20*time.Second, "the witness is held", func(ctx context.Context) (bool, string, error) {
		var err error
		holder, err = d.witnessHolder(ctx)
		return holder != "" && (want == "" || holder == want), "held by " + holder, err
	})
	return holder, err
}

func (d *demo) holds(ctx context.Context) error {
	holder, err := d.held(ctx, "")
	if err != nil {
		return err
	}
	d.ok("%s holds the reservation of /array/witness.img; the other one stands by as a challenger", holder)
	return d.kubectl(ctx, "get", "qq,qcl")
}

func other(host string) string {
	if host == "node-a" {
		return "node-b"
	}
	return "node-a"
}

// loss is a misfortune that leaves one of two hosts, seen by clients of both groups.
type loss struct {
	before map[string]visit
	probes map[string]*lab.Probe
}

func (d *demo) watch(ctx context.Context) (*loss, error) {
	l := &loss{before: map[string]visit{}, probes: map[string]*lab.Probe{}}
	for _, s := range []site{shop, news} {
		v, err := d.visit(ctx, s)
		if err != nil {
			return nil, err
		}
		p, err := d.probe(ctx, s)
		if err != nil {
			return nil, err
		}
		l.before[s.group], l.probes[s.group] = v, p
	}
	time.Sleep(500 * time.Millisecond)
	return l, nil
}

// survivor waits until both groups are online on one host, and names it.
func (d *demo) survivor(ctx context.Context) (string, error) {
	var where string
	err := observe.Wait(ctx, 30*time.Second, "one host serves both groups", func(ctx context.Context) (bool, string, error) {
		var owners []string
		for _, s := range []site{shop, news} {
			g, err := d.cluster.Group(ctx, s.group)
			if err != nil {
				return false, "", err
			}
			if g.Status.State != v1alpha1.GroupOnline || g.Status.Assignment == nil {
				return false, observe.Describe(g), nil
			}
			owners = append(owners, g.Status.Assignment.Node)
		}
		where = owners[0]
		return owners[0] == owners[1], "shop on " + owners[0] + ", news on " + owners[1], nil
	})
	return where, err
}

// judge tells what the clients saw: the other host's group came over with proofs and without a loss, and the survivor's own group
// never stopped if the survivor held the witness all the time. One that has to take the witness first is silent meanwhile.
func (d *demo) judge(ctx context.Context, l *loss, survivor string, heldIt bool) error {
	time.Sleep(500 * time.Millisecond)
	for _, s := range []site{shop, news} {
		report, err := l.probes[s.group].Stop()
		if err != nil {
			return err
		}
		g, err := d.cluster.Group(ctx, s.group)
		if err != nil {
			return err
		}
		if f := g.Status.LastFailover; f == nil || f.To != survivor || f.Epoch != g.Status.Assignment.Epoch {
			if err := d.stayed(s, survivor, report, heldIt); err != nil {
				return err
			}
		} else if err := d.story(ctx, g, other(survivor), report); err != nil {
			return err
		}
		for _, o := range report.Outages {
			if o.Length > bound {
				return fmt.Errorf("the client of %s waited %s, more than %s", s.group, ms(o.Length), bound)
			}
		}
		if _, err := d.counted(ctx, s, l.before[s.group], report.Good); err != nil {
			return err
		}
	}
	return nil
}

// stayed tells what clients saw of a group that was on the survivor already.
func (d *demo) stayed(s site, survivor string, report *lab.ProbeReport, heldIt bool) error {
	switch {
	case len(report.Outages) == 0:
		d.ok("%s was on %s already: %d answers, no outage", s.group, survivor, report.Good)
	case heldIt:
		return fmt.Errorf("%s stayed on %s, which held the witness, and its client waited %s all the same", s.group, survivor, ms(report.Outages[0].Length))
	default:
		d.ok("%s was on %s already; its address was silent for %s, until the witness was won", s.group, survivor, ms(report.Outages[0].Length))
	}
	return nil
}

// gone waits until nothing of either group is on the host: no process, mount or address.
func (d *demo) gone(ctx context.Context, host string) error {
	var checks []string
	for _, s := range []site{shop, news} {
		checks = append(checks, fmt.Sprintf("! pgrep -f '[q]uorate-visits.*%[1]s' && ! grep -q /srv/quorate/%[2]s /proc/self/mounts && ! ip -o addr | grep -q %[1]s/",
			s.address, s.group))
	}
	return observe.Wait(ctx, 10*time.Second, "the other host runs nothing any more", func(ctx context.Context) (bool, string, error) {
		out, err := d.lab.Exec(ctx, host, "sh", "-c", strings.Join(checks, " && "))
		return err == nil, out, nil
	})
}

func (d *demo) split(ctx context.Context) error {
	l, err := d.watch(ctx)
	if err != nil {
		return err
	}
	before, err := d.witnessHolder(ctx)
	if err != nil {
		return err
	}
	d.say("every internal network between node-a and node-b is cut; the witness is held by %s", before)
	if err := d.lab.SplitHosts(ctx, []string{"node-a"}, []string{"node-b"}); err != nil {
		return err
	}
	survivor, err := d.survivor(ctx)
	if err != nil {
		return err
	}
	d.ok("%s goes on alone", survivor)
	if _, err := d.held(ctx, survivor); err != nil {
		return err
	}
	d.ok("the array says that %s holds the witness (before: %s)", survivor, before)
	if err := d.gone(ctx, other(survivor)); err != nil {
		return err
	}
	d.ok("%s runs nothing any more, though it has power, its disks and its clients", other(survivor))
	return d.judge(ctx, l, survivor, survivor == before)
}

func (d *demo) healed(ctx context.Context) error {
	if err := d.lab.HealAll(ctx); err != nil {
		return err
	}
	return d.home(ctx)
}

// home waits until both nodes are Up and each group is back on its first preferred owner.
func (d *demo) home(ctx context.Context) error {
	err := errors.Join(
		d.cluster.WaitNodes(ctx, time.Minute, v1alpha1.NodeUp, d.act.hosts...),
		d.cluster.WaitOnline(ctx, time.Minute, shop.group, "node-a"),
		d.cluster.WaitOnline(ctx, time.Minute, news.group, "node-b"))
	if err != nil {
		return err
	}
	holder, err := d.held(ctx, "")
	if err != nil {
		return err
	}
	d.ok("both nodes are Up, shop is on node-a and news on node-b; %s holds the witness", holder)
	return nil
}

func (d *demo) cutHolder(ctx context.Context) error {
	holder, err := d.held(ctx, "")
	if err != nil {
		return err
	}
	l, err := d.watch(ctx)
	if err != nil {
		return err
	}
	d.say("cutting the power of %s", holder)
	if _, err := d.lab.Kill(ctx, holder); err != nil {
		return err
	}
	survivor, err := d.survivor(ctx)
	if err != nil {
		return err
	}
	if survivor == holder {
		return fmt.Errorf("the API says that %s serves, whose power was cut", holder)
	}
	if _, err := d.held(ctx, survivor); err != nil {
		return err
	}
	d.ok("%s has taken the witness from the dead holder, and serves both groups", survivor)
	return d.judge(ctx, l, survivor, false)
}

func (d *demo) returned(ctx context.Context) error {
	status, err := d.lab.Status(ctx)
	if err != nil {
		return err
	}
	for _, h := range status.Hosts {
		if h.State == lab.HostDown {
			if err := d.lab.Start(ctx, h.Name); err != nil {
				return err
			}
			d.say("%s is switched on again", h.Name)
		}
	}
	return d.home(ctx)
}
