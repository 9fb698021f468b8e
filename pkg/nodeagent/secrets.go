package nodeagent

import (
	"context"
	"encoding/json"
	"errors"
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
	"github.com/quorate/quorate/pkg/snapshot"
)

const (
	// secretRefresh is how soon a change is noticed.
	secretRefresh = 15 * time.Second
	// secretPatience is how long the API server may take for a Secret.
	secretPatience = 3 * time.Second
	// secretsFile is in the state directory: the Secrets that resources of this cluster name.
	secretsFile = "secrets.json"
)

// vault keeps the Secrets that resources name: those with which names are registered in DNS, and those that variables come from. An agent
// reads them before they are needed: a group fails over while the API server is gone. It can read only what a Role lets it get by name.
type vault struct {
	log      logr.Logger
	cluster  string
	world    func() *world
	settings func() *Settings
	path     string
	problems *problems

	mu sync.Mutex
	// known is the data by namespace/name.
	known map[string]map[string][]byte

	// kept is what the file has. It belongs to run.
	kept map[string]map[string][]byte
}

// load reads what an agent before this one knew.
func (k *vault) load() {
	known, err := readJSON[map[string]map[string][]byte](k.path)
	if err != nil {
		k.log.Error(err, "The Secrets that resources need are forgotten until the API server tells them")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known = map[string]map[string][]byte{}
	if known != nil {
		maps.Copy(k.known, *known)
	}
	k.kept = maps.Clone(k.known)
}

// of returns the data of a Secret as it was last read, and reads it only if it never was.
func (k *vault) of(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	key := client.ObjectKey{Namespace: namespace, Name: name}
	k.mu.Lock()
	data, found := k.known[key.String()]
	k.mu.Unlock()
	if found {
		return data, nil
	}
	w := k.world()
	if w == nil {
		return nil, fmt.Errorf("the Secret %s is not known yet: the API server was not reached", key)
	}
	data, err := w.secret(ctx, key)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known[key.String()] = data
	return data, nil
}

// secret reads a Secret. No error tells anything of its content.
func (w *world) secret(ctx context.Context, key client.ObjectKey) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, secretPatience)
	defer cancel()
	var secret corev1.Secret
	if err := w.direct.Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("reading the Secret %s (agents need a Role that lets them get it): %w", key, err)
	}
	return secret.Data, nil
}

// variables are the values of a spec's variables that come from Secrets.
func (k *vault) variables(ctx context.Context, namespace string, raw json.RawMessage) (map[string]string, error) {
	var spec v1alpha1.ResourceSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, fmt.Errorf("reading the spec: %w", err)
	}
	values := map[string]string{}
	for _, v := range envOf(&spec) {
		if v.ValueFrom == nil {
			continue
		}
		ref := v.ValueFrom.SecretKeyRef
		data, err := k.of(ctx, namespace, ref.Name)
		if err == nil {
			err = usable(data, ref.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("the variable %s comes from key %s of the Secret %s/%s: %w", v.Name, ref.Key, namespace, ref.Name, err)
		}
		values[v.Name] = string(data[ref.Key])
	}
	return values, nil
}

func envOf(spec *v1alpha1.ResourceSpec) []v1alpha1.EnvVar {
	switch {
	case spec.Container != nil:
		return spec.Container.Env
	case spec.GenericApplication != nil:
		return spec.GenericApplication.Env
	}
	return nil
}

// usable says whether a Secret has what a variable can have the value of.
func usable(data map[string][]byte, key string) error {
	value, found := data[key]
	switch {
	case !found:
		return fmt.Errorf("it has no key %q", key)
	case slices.Contains(value, 0):
		return errors.New("its value has a zero byte in it, which no variable can have")
	}
	return nil
}

// run reads the Secrets again and again until ctx ends.
func (k *vault) run(ctx context.Context) {
	for pause := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = time.Second
		if w := k.world(); w != nil && k.refresh(ctx, w) {
			pause = secretRefresh
		}
	}
}

// refresh reads the Secrets that the cluster's resources name; false means that it is not known which. One that cannot be read stays as it
// was, one that none names is forgotten.
func (k *vault) refresh(ctx context.Context, w *world) bool {
	refs, err := w.secretRefs(ctx, k.cluster, k.settings())
	if err != nil {
		return false
	}
	next := map[string]map[string][]byte{}
	var problems []v1alpha1.AgentProblem
	for _, ref := range refs {
		data, err := w.secret(ctx, ref.key)
		if err == nil {
			err = ref.check(data)
		}
		if err != nil {
			problems = append(problems, ref.problem(err))
			k.mu.Lock()
			data = k.known[ref.key.String()]
			k.mu.Unlock()
		}
		if data != nil {
			next[ref.key.String()] = data
		}
	}
	k.problems.set("secrets", problems)
	k.mu.Lock()
	k.known = next
	k.mu.Unlock()
	if !reflect.DeepEqual(k.kept, next) { // a start may have read one that was not known yet
		if err := writeDurable(k.path, next); err != nil {
			k.log.Error(err, "The Secrets that resources need are not kept over a restart of the agent")
			return true
		}
		k.kept = maps.Clone(next)
	}
	return true
}

// secretRef is a Secret that resources name, and what for.
type secretRef struct {
	key client.ObjectKey
	// signs says that it signs names; keys are what variables want of it.
	signs bool
	keys  []string
}

func (r *secretRef) check(data map[string][]byte) error {
	if r.signs {
		if _, err := dnsupdate.ParseKey(data); err != nil {
			return err
		}
	}
	for _, key := range r.keys {
		if err := usable(data, key); err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
	}
	return nil
}

func (r *secretRef) problem(err error) v1alpha1.AgentProblem {
	p := v1alpha1.AgentProblem{Reason: v1alpha1.ProblemSecret, Object: r.key.String(), Message: "variables that come from it cannot be set here as they should: " + err.Error()}
	if r.signs {
		p.Reason, p.Message = v1alpha1.ProblemNameKey, "names cannot be registered from here as they should: "+err.Error()
	}
	return p
}

// secretRefs are the Secrets that resources of a cluster name, sorted. Those of variables are of no interest where the group never runs.
func (w *world) secretRefs(ctx context.Context, cluster string, self *Settings) ([]*secretRef, error) {
	resources, err := w.resourcesOfCluster(ctx, cluster)
	if err != nil {
		return nil, err
	}
	refs := map[string]*secretRef{}
	at := func(namespace, name string) *secretRef {
		key := client.ObjectKey{Namespace: namespace, Name: name}
		if refs[key.String()] == nil {
			refs[key.String()] = &secretRef{key: key}
		}
		return refs[key.String()]
	}
	owners := ownersOf(resources)
	for _, r := range resources {
		if n := r.Spec.NetworkName; n != nil && n.DNS != nil && n.DNS.TSIGSecretRef != nil {
			at(r.Namespace, n.DNS.TSIGSecretRef.Name).signs = true
		}
		if !mayOwn(owners[snapshot.GroupKeyOf(r)], self) {
			continue
		}
		for _, v := range envOf(&r.Spec) {
			if v.ValueFrom != nil {
				ref := at(r.Namespace, v.ValueFrom.SecretKeyRef.Name)
				ref.keys = append(ref.keys, v.ValueFrom.SecretKeyRef.Key)
			}
		}
	}
	var list []*secretRef
	for _, text := range slices.Sorted(maps.Keys(refs)) {
		list = append(list, refs[text])
	}
	return list, nil
}

// secretsPath is where they are kept.
func (f *files) secretsPath() string { return filepath.Join(f.stateDir, secretsFile) }
