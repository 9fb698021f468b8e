package twonode

import (
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
)

// Both hosts live and no longer hear each other: exactly one of them serves, and it holds the witness; a live holder keeps it.
func TestSplitInTheMiddle(t *testing.T) {
	ctx, who := begin(t)
	c := watch(t, ctx)
	must(t, theLab.SplitHosts(ctx, hosts[:1], hosts[1:]))
	must(t, held(ctx, who))
	c.servedBy(t, ctx, who)
	bed.NothingOn(t, ctx, other(who), sites...)
	if now, err := holder(ctx); err != nil || now != who {
		t.Errorf("the witness went from %s to %s (%v): a live holder always wins", who, now, err)
	}
	must(t, theLab.HealAll(ctx))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
}

// The host that holds the witness dies: the other one takes the witness from it, and serves all.
func TestPowerCutOfTheHolder(t *testing.T) {
	ctx, who := begin(t)
	c := watch(t, ctx)
	_, err := theLab.Kill(ctx, who)
	must(t, err)
	c.servedBy(t, ctx, other(who))
	must(t, held(ctx, other(who)))
	must(t, theLab.Start(ctx, who))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
}

// The other host dies: the holder serves all, and its own group never stops.
func TestPowerCutOfTheChallenger(t *testing.T) {
	ctx, who := begin(t)
	c := watch(t, ctx)
	_, err := theLab.Kill(ctx, other(who))
	must(t, err)
	c.servedBy(t, ctx, who)
	if now, err := holder(ctx); err != nil || now != who {
		t.Errorf("the witness went from %s to %s (%v)", who, now, err)
	}
	must(t, theLab.Start(ctx, other(who)))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
}

// The hosts are split, and the holder has lost its clients' network: it is of no use to anybody, so it yields to the other one.
func TestHolderWithoutClientsYields(t *testing.T) {
	ctx, who := begin(t)
	must(t, theLab.CableOut(ctx, who, "lan", true))
	must(t, theLab.Cut(ctx, lab.Link{A: hosts[0], B: hosts[1], Network: "hb"}))
	for _, s := range sites {
		must(t, cluster.WaitOnline(ctx, recovery, s.Group, other(who)))
		if _, by := visit(t, ctx, s); by != other(who) {
			t.Errorf("%s is served by %s", s.Group, by)
		}
	}
	must(t, held(ctx, other(who)))
	bed.NothingOn(t, ctx, who, sites...)
	must(t, theLab.HealAll(ctx))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
}

// The witness disk fails for both hosts while both are up: they still have a majority without it, and nothing stops.
func TestWitnessLost(t *testing.T) {
	ctx, _ := begin(t)
	c := watch(t, ctx)
	for _, host := range hosts {
		must(t, theLab.DiskFail(ctx, host, lab.WitnessDisk))
	}
	time.Sleep(6 * time.Second)
	c.quiet(t)
	for _, host := range hosts {
		must(t, theLab.DiskHeal(ctx, host, lab.WitnessDisk))
	}
	must(t, held(ctx, ""))
}

// One host dies, then the last one: the one that died first knows less, and does not serve alone; with the last one standing it does.
func TestLastOneStanding(t *testing.T) {
	ctx, who := begin(t)
	first, last := other(who), who
	_, err := theLab.Kill(ctx, first)
	must(t, err)
	for _, s := range sites {
		must(t, cluster.WaitOnline(ctx, recovery, s.Group, last))
	}
	before := [2]int{}
	for i, s := range sites {
		before[i], _ = visit(t, ctx, s)
	}
	time.Sleep(2 * time.Second) // the vote record follows the view
	_, err = theLab.Kill(ctx, last)
	must(t, err)
	must(t, theLab.Start(ctx, last))
	for _, s := range sites {
		must(t, cluster.WaitOnline(ctx, recovery, s.Group, last))
	}
	must(t, theLab.Start(ctx, first))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
	for i, s := range sites {
		if count, _ := visit(t, ctx, s); count <= before[i] {
			t.Errorf("%s counted %d before, and %d now: visits are lost", s.Group, before[i], count)
		}
	}
}
