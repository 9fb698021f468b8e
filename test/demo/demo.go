// Package demo is the walk through the whole system that `make demo` shows, in three acts: a lab of three hosts, one of two hosts with a disk
// witness, and one of three hosts that have the control plane on them; two groups under load, and one misfortune after the other. Every step
// checks what it claims; the first that does not hold ends the demo with an error. The live audit runs beside all acts.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/audit/report"
	"github.com/quorate/quorate/test/auditor"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// Options of a demo.
type Options struct {
	// Name of the lab; several can run at once.
	Name string
	// Acts are the numbers of the acts to play, in order: 1 to 3.
	Acts []int
	// Samples is the directory that holds those of each act, demo and two-node (config/samples).
	Samples string
	// Assets is the directory of kubectl (KUBEBUILDER_ASSETS).
	Assets string
	// Keep leaves the lab running at the end.
	Keep bool
	// Out is the screen.
	Out io.Writer
	// Up are the options of the lab.
	Up lab.Options
}

// The two groups of the samples.
var (
	shop = site{group: "shop", url: "http://10.77.2.101/", address: "10.77.2.101"}
	news = site{group: "news", url: "http://10.77.2.102/", address: "10.77.2.102"}
)

// site is one of the demo's groups, as its clients know it.
type site struct {
	group, url, address string
}

// demo is one act.
type demo struct {
	Options
	*screen
	act     act
	lab     *lab.Lab
	cluster *observe.Cluster
	audit   *auditor.Beside
}

// act is a lab and what happens to it.
type act struct {
	title   string
	hosts   []string
	samples string
	// apiOnHosts is how many of the hosts have an API server; 0 if it has a host of its own.
	apiOnHosts int
	steps      func(*demo) []step
}

// acts by number, from 1.
var acts = []act{
	{title: "Act one: three hosts", hosts: []string{"node-a", "node-b", "node-c"}, samples: "demo", steps: (*demo).threeHosts},
	{title: "Act two: two hosts and a disk witness", hosts: []string{"node-a", "node-b"}, samples: "two-node", steps: (*demo).twoHosts},
	{
		title: "Act three: the control plane is on the hosts that die", hosts: []string{"node-a", "node-b", "node-c"}, samples: "demo",
		apiOnHosts: 3, steps: (*demo).onHosts,
	},
}

// step is a scene of an act.
type step struct {
	title string
	run   func(context.Context) error
}

// Run plays the acts. The lab of each is taken down at its end, whatever happens, unless Keep is set: then that of the last one stays.
func Run(ctx context.Context, options Options) error {
	out := &screen{out: options.Out, start: time.Now()}
	for i, number := range options.Acts {
		if number < 1 || number > len(acts) {
			return fmt.Errorf("there is no act %d: there are 1 to %d", number, len(acts))
		}
		d := &demo{Options: options, screen: out, act: acts[number-1]}
		d.Keep = options.Keep && i == len(options.Acts)-1
		if err := d.play(ctx); err != nil {
			return err
		}
	}
	out.title("All of it happened as it should")
	return nil
}

func (d *demo) play(ctx context.Context) (err error) {
	d.headline(d.act.title)
	defer func() { err = errors.Join(err, d.finish(err)) }()
	for _, s := range d.act.steps(d) {
		d.title(s.title)
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

func (d *demo) threeHosts() []step {
	return []step{
		{"Three hosts, an API server, two managers", d.up},
		{"Two groups, active/active, from config/samples/demo", d.apply},
		{"Both pages answer, and count their visits on the shared disks", d.pages},
		{"Power cut of a host, while a client counts", d.powerCut},
		{"The host comes back, and its group fails back", d.powerOn},
		{"A heartbeat network is cut: nothing moves", d.cutHeartbeat},
		{"A host is isolated: it falls silent and stops, another takes over", d.isolate},
		{"A planned move, with move-to", d.move},
		{"The API server stops for a while: everything keeps running", d.apiOutage},
	}
}

func (d *demo) up(ctx context.Context) error {
	up := d.Up
	up.Name, up.Hosts, up.APIOnHosts = d.Name, len(d.act.hosts), d.act.apiOnHosts
	started, err := lab.Up(ctx, up, func(p lab.Progress) {
		if p.Message != "" {
			d.say("%s", p.Message)
		}
	})
	if err != nil {
		return err
	}
	d.lab = started
	d.cluster, err = observe.New(d.lab.Kubeconfig(), "demo")
	return err
}

// kubectl runs the real kubectl as the lab's operator and shows what it prints.
func (d *demo) kubectl(ctx context.Context, args ...string) error {
	args = append(d.context(ctx), args...)
	d.say("$ kubectl %s", strings.Join(args, " "))
	command := exec.CommandContext(ctx, filepath.Join(d.Assets, "kubectl"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+d.lab.Kubeconfig())
	out, err := command.CombinedOutput()
	d.quote(string(out))
	if err != nil {
		return fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// context names the context of a server that is ready, if that is not the first: kubectl knows one server only.
func (d *demo) context(ctx context.Context) []string {
	servers, err := d.lab.APIServers(ctx)
	if err != nil {
		return nil // kubectl says what is wrong
	}
	for i, s := range servers {
		switch {
		case s.Ready && i == 0:
			return nil
		case s.Ready:
			return []string{"--context", fmt.Sprintf("lab/%d", i+1)}
		}
	}
	return nil
}

func (d *demo) apply(ctx context.Context) error {
	if err := d.kubectl(ctx, "apply", "-R", "-f", filepath.Join(d.Samples, d.act.samples)); err != nil {
		return err
	}
	d.say("waiting for the nodes to form a cluster and the groups to come online")
	if err := d.cluster.WaitNodes(ctx, time.Minute, v1alpha1.NodeUp, d.act.hosts...); err != nil {
		return err
	}
	if err := d.cluster.WaitOnline(ctx, time.Minute, shop.group, "node-a"); err != nil {
		return err
	}
	if err := d.cluster.WaitOnline(ctx, time.Minute, news.group, "node-b"); err != nil {
		return err
	}
	if err := d.kubectl(ctx, "get", "quorate", "-A"); err != nil {
		return err
	}
	d.ok("all %d nodes are Up, shop runs on node-a and news on node-b", len(d.act.hosts))
	// It outlives the steps' context: its verdict is told at the end, whatever happens.
	var err error
	d.audit, err = auditor.Start(context.WithoutCancel(ctx), d.lab, auditor.Options{Cluster: "demo"})
	if err == nil {
		d.say("from now on the live audit looks at it all from outside")
	}
	return err
}

// finish tells the audit's verdict, and takes the lab down or tells how to look around.
func (d *demo) finish(failed error) error {
	if d.lab == nil {
		return nil
	}
	verdict := d.verdict()
	if d.Keep {
		d.lookAround()
		return verdict
	}
	if failed != nil {
		d.lastWords()
	}
	d.title("Cleaning up")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := d.lab.Down(ctx); err != nil {
		return errors.Join(verdict, fmt.Errorf("taking the lab down: %w", err))
	}
	d.ok("no process, namespace, mount or loop device is left")
	return verdict
}

// verdict ends the audit; a violation is an error.
func (d *demo) verdict() error {
	if d.audit == nil {
		return nil
	}
	verdict := d.audit.Stop()
	d.title("What the live audit has seen from outside")
	var text strings.Builder
	if err := report.Verdict(&text, verdict, report.Table); err != nil {
		return err
	}
	d.quote(text.String())
	if verdict.Violations() > 0 {
		return auditor.ErrViolations
	}
	d.ok("%s", verdict.Summary())
	return nil
}

func (d *demo) lookAround() {
	d.title("The lab keeps running")
	d.quote(fmt.Sprintf(`export KUBECONFIG=%s PATH=$PATH:%s
kubectl get quorate -A
kubectl describe rg shop -n demo
quorate-lab status --name %[3]s
quorate-lab exec client --name %[3]s -- curl -s %[4]s
quorate-lab host kill node-a --name %[3]s
quorate-lab down --name %[3]s`, d.lab.Kubeconfig(), d.Assets+":"+filepath.Dir(d.Assets), d.Name, shop.url))
}

// lastWords shows the state in which a demo failed.
func (d *demo) lastWords() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, args := range [][]string{{"get", "quorate", "-A"}, {"get", "events", "-A"}} {
		if err := d.kubectl(ctx, args...); err != nil {
			d.say("%v", err)
		}
	}
}
