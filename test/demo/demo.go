// Package demo is the walk through the whole system that `make demo` shows: a lab of three hosts, two groups under load, and one
// misfortune after the other. Every step checks what it claims; the first that does not hold ends the demo with an error.
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
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// Options of a demo.
type Options struct {
	// Name of the lab; several can run at once.
	Name string
	// Samples is the directory of manifests that are applied (config/samples/demo).
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

// demo is one run.
type demo struct {
	Options
	screen
	lab     *lab.Lab
	cluster *observe.Cluster
}

// step is one act of the demo.
type step struct {
	title string
	run   func(context.Context) error
}

// Run plays the demo. The lab is taken down at the end, whatever happens, unless Keep is set.
func Run(ctx context.Context, options Options) (err error) {
	d := &demo{Options: options, screen: screen{out: options.Out, start: time.Now()}}
	defer func() { err = errors.Join(err, d.finish(err)) }()
	for _, s := range d.steps() {
		d.title(s.title)
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	d.title("All of it happened as it should")
	return nil
}

func (d *demo) steps() []step {
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
	up.Name, up.Hosts = d.Name, 3
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

func (d *demo) apply(ctx context.Context) error {
	if err := d.kubectl(ctx, "apply", "-R", "-f", d.Samples); err != nil {
		return err
	}
	d.say("waiting for the nodes to form a cluster and the groups to come online")
	if err := d.cluster.WaitNodes(ctx, time.Minute, v1alpha1.NodeUp, "node-a", "node-b", "node-c"); err != nil {
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
	d.ok("three nodes are Up, shop runs on node-a and news on node-b")
	return nil
}

// finish takes the lab down, or tells how to look around.
func (d *demo) finish(failed error) error {
	if d.lab == nil {
		return nil
	}
	if d.Keep {
		d.lookAround()
		return nil
	}
	if failed != nil {
		d.lastWords()
	}
	d.title("Cleaning up")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := d.lab.Down(ctx); err != nil {
		return fmt.Errorf("taking the lab down: %w", err)
	}
	d.ok("no process, namespace, mount or loop device is left")
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
