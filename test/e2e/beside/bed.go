package beside

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// Recovery is more than any repair may take on a busy machine.
const Recovery = time.Minute

// Site is a group of the samples as its clients know it, with the host that it prefers.
type Site struct{ Group, URL, Address, Home string }

// The groups of all samples.
var (
	Shop = Site{Group: "shop", URL: "http://10.77.2.101/", Address: "10.77.2.101", Home: "node-a"}
	News = Site{Group: "news", URL: "http://10.77.2.102/", Address: "10.77.2.102", Home: "node-b"}
)

// Bed is a lab with samples on it, which the tests of a package share.
type Bed struct {
	*lab.Lab
	// Cluster is the operator's eye on it.
	Cluster *observe.Cluster
	// Hosts are those of the cluster, in order.
	Hosts []string
}

// NewBed brings a lab up with the samples of a directory. Take it down whatever the error, unless it is nil. The lab's name begins with
// that of the options, and its binaries are those of QUORATE_BIN.
func NewBed(ctx context.Context, o lab.Options, samples string) (*Bed, error) {
	if o.BinDir = os.Getenv("QUORATE_BIN"); o.BinDir == "" {
		return nil, fmt.Errorf("QUORATE_BIN is not set: run these tests with `make test` or `make test-e2e`")
	}
	var err error
	if o.Manifests, err = filepath.Abs(samples); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	o.Name = fmt.Sprintf("%s-%d", o.Name, os.Getpid())
	b := &Bed{}
	for i := range o.Hosts {
		b.Hosts = append(b.Hosts, fmt.Sprintf("node-%c", 'a'+i))
	}
	if b.Lab, err = lab.Up(ctx, o, nil); err != nil {
		return nil, err
	}
	b.Cluster, err = observe.New(b.Kubeconfig(), "demo")
	return b, err
}

// Main runs a package's tests on a bed and takes it down whatever happens. ready waits until all is as tests want it. It returns the exit
// code.
func Main(m *testing.M, o lab.Options, samples string, ready func(context.Context, *Bed) error) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	b, err := NewBed(ctx, o, samples)
	if b != nil {
		defer func() { TakeDown(b.Lab, &code) }()
	}
	if err == nil {
		err = ready(ctx, b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the samples do not come up:", err)
		return 1
	}
	return m.Run()
}

// Visit is an answer of the samples' page.
type Visit struct {
	Count int    `json:"count"`
	Host  string `json:"host"`
	PID   int    `json:"pid"`
}

// Visit asks a page once, from the client host.
func (b *Bed) Visit(ctx context.Context, s Site) (v Visit, err error) {
	out, err := b.Exec(ctx, lab.Client, "curl", "-sS", "--max-time", "2", s.URL)
	if err == nil {
		err = json.Unmarshal([]byte(out), &v)
	}
	return v, err
}

// Visited is the answer of a page that is up, or comes up now.
func (b *Bed) Visited(t *testing.T, ctx context.Context, s Site) (v Visit) {
	t.Helper()
	return b.Served(t, ctx, s, "")
}

// Served waits until another host than the one that is lost serves the page.
func (b *Bed) Served(t *testing.T, ctx context.Context, s Site, lost string) (v Visit) {
	t.Helper()
	Must(t, observe.Wait(ctx, Recovery, s.Group+" is served without "+lost, func(ctx context.Context) (_ bool, _ string, err error) {
		v, err = b.Visit(ctx, s)
		return err == nil && v.Host != lost, fmt.Sprintf("served by %q, %v", v.Host, err), nil
	}))
	return v
}

// Watch probes a page from now on.
func (b *Bed) Watch(t *testing.T, ctx context.Context, s Site) *lab.Probe {
	t.Helper()
	p, err := b.Probe(ctx, lab.ProbeOptions{URL: s.URL})
	Must(t, err)
	Must(t, p.Answered(ctx))
	return p
}

// NothingOn waits until nothing of the sites is on the host: no process, mount or address.
func (b *Bed) NothingOn(t *testing.T, ctx context.Context, host string, sites ...Site) {
	t.Helper()
	var checks []string
	for _, s := range sites {
		checks = append(checks, fmt.Sprintf("! pgrep -f '[q]uorate-visits.*%[1]s' && ! grep -q /srv/quorate/%[2]s /proc/self/mounts && "+
			"! ip -o addr | grep -q %[1]s/", s.Address, s.Group))
	}
	Must(t, observe.Wait(ctx, Recovery, "nothing is left on "+host, func(ctx context.Context) (bool, string, error) {
		out, err := b.Exec(ctx, host, "sh", "-c", strings.Join(checks, " && "))
		return err == nil, out, nil
	}))
}

// Home moves groups to where they belong, and waits until all is well.
func (b *Bed) Home(ctx context.Context, sites ...Site) error {
	if err := b.Cluster.WaitNodes(ctx, Recovery, v1alpha1.NodeUp, b.Hosts...); err != nil {
		return err
	}
	for _, s := range sites {
		if err := b.Cluster.WaitOnline(ctx, Recovery, s.Group, ""); err != nil {
			return err
		}
		g, err := b.Cluster.Group(ctx, s.Group)
		if err != nil {
			return err
		}
		if g.Status.Assignment.Node == s.Home {
			continue
		}
		if err := b.Cluster.Move(ctx, Recovery, s.Group, s.Home); err != nil {
			return err
		}
	}
	return nil
}

// Dump tells what there was to see when a test failed.
func (b *Bed) Dump(t *testing.T, sites ...Site) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, s := range sites {
		if g, err := b.Cluster.Group(ctx, s.Group); err == nil {
			t.Log(observe.Describe(g))
		}
	}
	for _, host := range b.Hosts {
		log, err := exec.CommandContext(ctx, "tail", "-n", "60", b.LogFile(host, "agent")).Output()
		t.Logf("last words of the agent of %s (%v):\n%s", host, err, log)
	}
}

// Must ends the test when there is an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
