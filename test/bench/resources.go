package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

const (
	// manyGroups of manyResources resources run on one host; scaleGroups have an address each.
	manyGroups, manyResources, scaleGroups = 200, 3, 1000
	// crowded is how long anything may take with a thousand groups, on a busy machine.
	crowded = 5 * time.Minute
	restful = 20 * time.Second
	// makers is how many objects are made at a time.
	makers = 8
	scaled = "scale"
)

// Resources measures what many groups cost: 200 groups of three resources on one host, at rest and from cold, and the death of a host with
// 1,000 addresses.
func Resources(ctx context.Context, options Options) (err error) {
	options.Up.Hosts, options.Up.Manifests = 3, options.Samples
	b := &bench{Options: options}
	restore, err := roomForNeighbours()
	if err != nil {
		return err
	}
	defer restore()
	b.lab, err = lab.Up(ctx, options.Up, func(p lab.Progress) { fmt.Fprintln(b.Progress, p.Message) })
	if b.lab != nil {
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			err = errors.Join(err, b.lab.Down(ctx))
		}()
	}
	if err != nil {
		return err
	}
	if b.cluster, err = observe.New(b.lab.Kubeconfig(), scaled); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: scaled}}
	if err := b.cluster.Create(ctx, namespace); err != nil {
		return fmt.Errorf("making a namespace: %w", err)
	}
	if err := b.permit(ctx); err != nil {
		return err
	}
	defer b.print()
	if err := b.crowdedHost(ctx); err != nil {
		return err
	}
	return b.scale(ctx)
}

// roomForNeighbours lets this machine's kernel, which is that of all simulated hosts, know more neighbours than the 1,024 that it keeps
// otherwise, until the returned function is called.
func roomForNeighbours() (func(), error) {
	const path = "/proc/sys/net/ipv6/neigh/default/gc_thresh3"
	before, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading how many neighbours the kernel keeps: %w", err)
	}
	if err := os.WriteFile(path, []byte("16384"), 0o600); err != nil {
		return nil, fmt.Errorf("having the kernel keep more neighbours: %w", err)
	}
	return func() { _ = os.WriteFile(path, before, 0o600) }, nil // it was written a moment ago
}

// permit lets groups of the namespace run addresses and processes.
func (b *bench) permit(ctx context.Context) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error { // the manager writes it too
		c := &v1alpha1.Cluster{}
		if err := b.cluster.Get(ctx, client.ObjectKey{Name: "demo"}, c); err != nil {
			return err
		}
		c.Spec.AllowedResourceTypes = append(c.Spec.AllowedResourceTypes, v1alpha1.AllowedResourceTypes{
			Name: scaled, Namespaces: []string{scaled}, Types: []string{string(v1alpha1.TypeIPAddress), string(v1alpha1.TypeGenericApplication)},
		})
		return b.cluster.Update(ctx, c)
	})
	if err != nil {
		return fmt.Errorf("allowing groups in %s: %w", scaled, err)
	}
	return nil
}

// addressOf is the n-th address of the wide network.
func addressOf(n int) string { return fmt.Sprintf("fd77:2::a:%x", n+1) }

// objectsOf are a group that prefers node-c, with an address and as many processes.
func objectsOf(n, processes int, owners ...string) []client.Object {
	name := fmt.Sprintf("g%d", n)
	g := &v1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: scaled, Name: name},
		Spec:       v1alpha1.ResourceGroupSpec{ClusterName: "demo", PreferredOwners: []string{"node-c"}},
	}
	all := []client.Object{g, &v1alpha1.Resource{
		ObjectMeta: metav1.ObjectMeta{Namespace: scaled, Name: name + "-ip"},
		Spec: v1alpha1.ResourceSpec{
			GroupName: name, Type: v1alpha1.TypeIPAddress, PossibleOwners: owners,
			ResourceParameters: v1alpha1.ResourceParameters{IPAddress: &v1alpha1.IPAddress{Network: "lan", Address: addressOf(n) + "/64"}},
		},
	}}
	for i := range processes {
		all = append(all, &v1alpha1.Resource{
			ObjectMeta: metav1.ObjectMeta{Namespace: scaled, Name: fmt.Sprintf("%s-app%d", name, i)},
			Spec: v1alpha1.ResourceSpec{
				GroupName: name, Type: v1alpha1.TypeGenericApplication, DependsOn: []v1alpha1.Dependency{{Name: name + "-ip"}},
				ResourceParameters: v1alpha1.ResourceParameters{
					GenericApplication: &v1alpha1.GenericApplication{Command: []string{"/bin/sleep", "1000000"}},
				},
			},
		})
	}
	return all
}

// each does something about the numbers below n, several at a time.
func each(atATime, n int, do func(i int) error) error {
	var wait sync.WaitGroup
	next := make(chan int)
	failed := make([]error, atATime)
	for m := range atATime {
		wait.Go(func() {
			for i := range next {
				failed[m] = errors.Join(failed[m], do(i))
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wait.Wait()
	return errors.Join(failed...)
}

func (b *bench) make(ctx context.Context, groups, processes int, owners ...string) error {
	fmt.Fprintf(b.Progress, "making %d groups of %d resources\n", groups, processes+1)
	return each(makers, groups, func(i int) error {
		for _, o := range objectsOf(i, processes, owners...) {
			if err := b.cluster.Create(ctx, o); err != nil {
				return fmt.Errorf("making %s: %w", o.GetName(), err)
			}
		}
		return nil
	})
}

// online waits until all groups are online on the node, in the state that the API shows.
func (b *bench) online(ctx context.Context, groups int, node string) error {
	return observe.Wait(ctx, crowded, fmt.Sprintf("%d groups online on %s", groups, node), func(ctx context.Context) (bool, string, error) {
		var list v1alpha1.ResourceGroupList
		if err := b.cluster.List(ctx, &list, client.InNamespace(scaled)); err != nil {
			return false, "", err
		}
		n := 0
		for i := range list.Items {
			if s := &list.Items[i].Status; s.State == v1alpha1.GroupOnline && (node == "" || s.Owner == node) {
				n++
			}
		}
		return n == groups, fmt.Sprint(n, " are"), nil
	})
}

// crowdedHost measures 200 groups of three resources on one host: its agent at rest, and all of them from cold.
func (b *bench) crowdedHost(ctx context.Context) error {
	if err := b.make(ctx, manyGroups, manyResources-1, "node-c"); err != nil {
		return err
	}
	if err := b.online(ctx, manyGroups, "node-c"); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	before, err := b.agentCost(ctx, "node-c")
	if err != nil {
		return err
	}
	began := time.Now()
	time.Sleep(restful)
	after, err := b.agentCost(ctx, "node-c")
	if err != nil {
		return err
	}
	fmt.Fprintf(b.Out, "\n%d groups of %d resources on one host, its agent at rest:\n  %-40s %.2f%%  budget 3%%\n  %-40s %.1f MB  budget 60 MB\n  %-40s %.1f MB\n",
		manyGroups, manyResources, "CPU of a core", 100*(after.cpu-before.cpu).Seconds()/time.Since(began).Seconds(),
		"resident memory", after.rss, "  of it not pages of the program's file", after.own)
	if _, err := b.lab.Kill(ctx, "node-c"); err != nil {
		return err
	}
	if err := b.cluster.WaitNodes(ctx, recovery, v1alpha1.NodeDown, "node-c"); err != nil {
		return err
	}
	if err := b.lab.Start(ctx, "node-c"); err != nil {
		return err
	}
	if err := b.cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-c"); err != nil {
		return err
	}
	cold := time.Now()
	if err := b.online(ctx, manyGroups, "node-c"); err != nil {
		return err
	}
	b.add(fmt.Sprintf("%d groups of %d resources from cold, after the host is up", manyGroups, manyResources), "10 s", "", time.Since(cold))
	return b.empty(ctx, manyGroups, manyResources-1)
}

// empty deletes all groups.
func (b *bench) empty(ctx context.Context, groups, processes int) error {
	if err := each(makers, groups, func(i int) error {
		for _, o := range objectsOf(i, processes) {
			if err := b.cluster.Delete(ctx, o); err != nil {
				return fmt.Errorf("removing %s: %w", o.GetName(), err)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return observe.Wait(ctx, crowded, "all groups are gone", func(ctx context.Context) (bool, string, error) {
		var groups v1alpha1.ResourceGroupList
		var resources v1alpha1.ResourceList
		err := errors.Join(b.cluster.List(ctx, &groups, client.InNamespace(scaled)), b.cluster.List(ctx, &resources, client.InNamespace(scaled)))
		left := len(groups.Items) + len(resources.Items)
		return err == nil && left == 0, fmt.Sprint(left, " are left"), err
	})
}

// scale measures how long the addresses of a thousand groups are silent when their host dies.
func (b *bench) scale(ctx context.Context) error {
	if err := b.make(ctx, scaleGroups, 0); err != nil {
		return err
	}
	if err := b.online(ctx, scaleGroups, "node-c"); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	if n, err := b.answering(ctx); err != nil || n != scaleGroups {
		return fmt.Errorf("%d of %d addresses answer before anything happens: %w", n, scaleGroups, err)
	}
	began := time.Now()
	if _, err := b.lab.Kill(ctx, "node-c"); err != nil {
		return err
	}
	for time.Since(began) < crowded {
		n, err := b.answering(ctx)
		if err != nil {
			return err
		}
		if n == scaleGroups {
			b.add(fmt.Sprintf("the host of %d groups dies: all answer again", scaleGroups), "detection + 5 s", "Pacemaker: its scheduler alone 28,000", time.Since(began))
			return b.detected(ctx)
		}
		fmt.Fprintf(b.Progress, "after %s %d answer\n", time.Since(began).Round(100*time.Millisecond), n)
	}
	return fmt.Errorf("not all addresses answer %s after their host's death", crowded)
}

// detected adds how long the detection took, by the record of one failover.
func (b *bench) detected(ctx context.Context) error {
	if err := b.online(ctx, scaleGroups, ""); err != nil {
		return err
	}
	g, err := b.cluster.Group(ctx, "g0")
	if err != nil {
		return err
	}
	if f := g.Status.LastFailover; f != nil {
		b.add("  phase detect", "", "", f.Phases.Detect.Duration)
	}
	return nil
}

// answering counts the addresses that answer the client: nobody listens there, so their host's kernel refuses the connection.
func (b *bench) answering(ctx context.Context) (int, error) {
	var mu sync.Mutex
	count := 0
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := each(100, scaleGroups, func(i int) error {
		one, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		conn, err := b.lab.Dial(one, lab.Client, "tcp6", "["+addressOf(i)+"]:9")
		if err == nil {
			err = conn.Close()
		}
		if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
			mu.Lock()
			defer mu.Unlock()
			count++
		}
		return nil
	})
	return count, err
}
