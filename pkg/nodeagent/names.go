package nodeagent

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/dnsupdate"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/networkname"
)

const (
	// nameKeyRefresh is how soon a changed key is noticed.
	nameKeyRefresh = 15 * time.Second
	// nameKeyPatience is how long the API server may take for a Secret.
	nameKeyPatience = 3 * time.Second
	// nameKeysFile is in the state directory: the Secrets that sign the names of this cluster.
	nameKeysFile = "names.json"
)

// nameKeys keeps the Secrets with which names are registered in DNS. Every agent reads all of its cluster's before they are needed: a name goes
// on to be registered, and fails over, while the API server is gone.
type nameKeys struct {
	log      logr.Logger
	cluster  string
	world    func() *world
	path     string
	problems *problems

	mu sync.Mutex
	// known is the data by namespace/name.
	known map[string]map[string][]byte
}

// load reads what an agent before this one knew.
func (k *nameKeys) load() {
	known, err := readJSON[map[string]map[string][]byte](k.path)
	if err != nil {
		k.log.Error(err, "The keys of network names are forgotten until the API server tells them")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known = map[string]map[string][]byte{}
	if known != nil {
		maps.Copy(k.known, *known)
	}
}

// of returns the data of a Secret as it was last read, and reads it only if it never was.
func (k *nameKeys) of(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	key := client.ObjectKey{Namespace: namespace, Name: name}
	k.mu.Lock()
	data, found := k.known[key.String()]
	k.mu.Unlock()
	if found {
		return data, nil
	}
	w := k.world()
	if w == nil {
		return nil, fmt.Errorf("the Secret %s with the TSIG key is not known yet: the API server was not reached", key)
	}
	data, err := w.nameKey(ctx, key)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known[key.String()] = data
	return data, nil
}

// nameKey reads a Secret that signs names. No error tells anything of its content.
func (w *world) nameKey(ctx context.Context, key client.ObjectKey) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, nameKeyPatience)
	defer cancel()
	var secret corev1.Secret
	if err := w.direct.Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("reading the Secret %s with the TSIG key (agents need a Role that lets them get it): %w", key, err)
	}
	return secret.Data, nil
}

// run reads the Secrets again and again until ctx ends.
func (k *nameKeys) run(ctx context.Context) {
	for pause := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = time.Second
		if w := k.world(); w != nil && k.refresh(ctx, w) {
			pause = nameKeyRefresh
		}
	}
}

// refresh reads the Secrets that the cluster's names refer to; false means that it is not known which. One that cannot be read stays as it was,
// one that no name refers to is forgotten.
func (k *nameKeys) refresh(ctx context.Context, w *world) bool {
	refs, err := w.nameKeyRefs(ctx, k.cluster)
	if err != nil {
		return false
	}
	next := map[string]map[string][]byte{}
	var problems []v1alpha1.AgentProblem
	for _, key := range refs {
		data, err := w.nameKey(ctx, key)
		if err == nil {
			_, err = dnsupdate.ParseKey(data)
		}
		if err != nil {
			problems = append(problems, v1alpha1.AgentProblem{
				Reason: v1alpha1.ProblemNameKey, Object: key.String(), Message: "names cannot be registered from here as they should: " + err.Error(),
			})
			k.mu.Lock()
			data = k.known[key.String()]
			k.mu.Unlock()
		}
		if data != nil {
			next[key.String()] = data
		}
	}
	k.problems.set("name keys", problems)
	k.mu.Lock()
	same := reflect.DeepEqual(k.known, next)
	k.known = next
	k.mu.Unlock()
	if !same {
		if err := writeDurable(k.path, next); err != nil {
			k.log.Error(err, "The keys of network names are not kept over a restart of the agent")
		}
	}
	return true
}

// nameKeyRefs are the Secrets that the names of a cluster refer to, sorted.
func (w *world) nameKeyRefs(ctx context.Context, cluster string) ([]client.ObjectKey, error) {
	resources, err := w.resourcesOfCluster(ctx, cluster)
	if err != nil {
		return nil, err
	}
	refs := map[string]client.ObjectKey{}
	for _, r := range resources {
		if n := r.Spec.NetworkName; n != nil && n.DNS != nil && n.DNS.TSIGSecretRef != nil {
			key := client.ObjectKey{Namespace: r.Namespace, Name: n.DNS.TSIGSecretRef.Name}
			refs[key.String()] = key
		}
	}
	var list []client.ObjectKey
	for _, text := range slices.Sorted(maps.Keys(refs)) {
		list = append(list, refs[text])
	}
	return list, nil
}

// resourcesOfCluster are the resources of the cluster's groups.
func (w *world) resourcesOfCluster(ctx context.Context, cluster string) ([]*v1alpha1.Resource, error) {
	groups, err := w.groups(ctx, cluster)
	if err != nil {
		return nil, err
	}
	ours := map[client.ObjectKey]bool{}
	for _, g := range groups {
		ours[client.ObjectKeyFromObject(g)] = true
	}
	resources, err := w.allResources(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(resources, func(r *v1alpha1.Resource) bool {
		return !ours[client.ObjectKey{Namespace: r.Namespace, Name: r.Spec.GroupName}]
	}), nil
}

// nameKeysPath is where the keys are kept.
func (f *files) nameKeysPath() string { return filepath.Join(f.stateDir, nameKeysFile) }

// startNames lets the type NetworkName write to DNS: in the agent, and not in its guardian.
func (a *agent) startNames(ctx context.Context) error {
	a.nameKeys = &nameKeys{
		log: a.log.WithName("names"), cluster: a.opts.Cluster, world: a.world, path: a.files.nameKeysPath(), problems: a.problems,
	}
	a.nameKeys.load()
	t, err := a.types.Get(networkname.Name)
	if err != nil {
		return err
	}
	names, ok := t.(*networkname.Type)
	if !ok {
		return fmt.Errorf("resource type %s is a %T", networkname.Name, t)
	}
	names.Start(ctx, networkname.Options{
		RunDir: a.opts.RunDir, Secret: a.nameKeys.of, Timing: networkname.DefaultTiming(), Log: a.log.WithName("names"),
		Tell: func(found []resourcetype.Problem) {
			var list []v1alpha1.AgentProblem
			for _, p := range found {
				list = append(list, v1alpha1.AgentProblem{Reason: p.Reason, Object: p.Object, Message: p.Message})
			}
			a.problems.set("names", list)
		},
	})
	return nil
}
