package nodeagent

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/powerfence"
)

// levelRefresh is how soon a changed spec, a rotated credential or a newly installed agent is noticed.
const levelRefresh = 15 * time.Second

// checkLevels finds out again and again which levels of other nodes this host can use. It runs fence agents for their metadata, which
// takes a second each and is remembered for minutes.
func (f *powerFencer) checkLevels(ctx context.Context) {
	for pause := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-f.recheck:
		}
		pause = levelRefresh
		w := f.world()
		if w == nil {
			pause = time.Second
			continue
		}
		usable, checked, problems, err := f.levels(ctx, w)
		if err != nil {
			f.log.Info("Which nodes can be fenced from here is not known", "reason", err.Error())
			pause = time.Second
			continue
		}
		f.mu.Lock()
		same := reflect.DeepEqual(f.usable, usable) && reflect.DeepEqual(f.checked, checked)
		f.usable, f.checked = usable, checked
		f.mu.Unlock()
		f.problems.set("fencing", append(problems, f.failedFencings()...))
		if !same {
			f.changed()
			f.wakeUp()
		}
	}
}

// levels are those that can be used, by node, and what is wrong with the others.
func (f *powerFencer) levels(
	ctx context.Context, w *world,
) (usable map[string][]powerfence.Level, checked map[string]int64, problems []v1alpha1.AgentProblem, err error) {
	nodes, err := w.nodes(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	usable, checked = map[string][]powerfence.Level{}, map[string]int64{}
	for _, n := range nodes {
		if n.Spec.ClusterName != f.cluster || n.Name == f.nodeName {
			continue // no node fences itself
		}
		checked[n.Name] = n.Generation
		for i := range n.Spec.Fencing {
			spec := &n.Spec.Fencing[i]
			l, err := f.level(ctx, w, n.Name, spec)
			if err != nil {
				problems = append(problems, v1alpha1.AgentProblem{
					Reason: v1alpha1.ProblemFencing, Object: fmt.Sprintf("%s level %d", n.Name, spec.Level),
					Message: fmt.Sprintf("this host cannot use spec.fencing level %d of node %s: %v", spec.Level, n.Name, err),
				})
			}
			if l != nil {
				usable[n.Name] = append(usable[n.Name], *l)
			}
		}
	}
	return usable, checked, problems, nil
}

// level makes one level of a spec usable. When its Secret cannot be read just now, the credentials that were read before stay.
func (f *powerFencer) level(ctx context.Context, w *world, node string, spec *v1alpha1.FencingLevel) (*powerfence.Level, error) {
	l := &powerfence.Level{Number: int(spec.Level), Driver: spec.Driver}
	for _, p := range spec.Parameters {
		l.Parameters = append(l.Parameters, powerfence.Parameter{Name: p.Name, Value: p.Value})
	}
	if spec.Timeout != nil {
		l.Timeout = spec.Timeout.Duration
	}
	var missing error
	if spec.SecretRef != nil {
		if l.Secrets, missing = w.credentials(ctx, *spec.SecretRef); missing != nil {
			if l.Secrets = f.knownSecrets(node, l); l.Secrets == nil {
				return nil, missing
			}
		}
	}
	if err := f.power.Check(ctx, l); err != nil {
		return nil, err
	}
	return l, missing
}

// knownSecrets are those of the level as it was last usable; nil when there is none, or when anything else of it has changed.
func (f *powerFencer) knownSecrets(node string, l *powerfence.Level) []powerfence.Parameter {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, old := range f.usable[node] {
		if old.Number == l.Number && old.Driver == l.Driver && reflect.DeepEqual(old.Parameters, l.Parameters) {
			return old.Secrets
		}
	}
	return nil
}

// credentials reads the data of a Secret as parameters, in order of their names. No error tells anything of their content.
func (w *world) credentials(ctx context.Context, ref v1alpha1.SecretReference) ([]powerfence.Parameter, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var secret corev1.Secret
	if err := w.direct.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &secret); err != nil {
		return nil, fmt.Errorf("reading secretRef %s/%s (agents need a Role for it): %w", ref.Namespace, ref.Name, err)
	}
	return parametersOf(secret.Data), nil
}

// parametersOf takes a line break off the end of each value: tools that write Secrets from files leave one.
func parametersOf(data map[string][]byte) []powerfence.Parameter {
	parameters := make([]powerfence.Parameter, 0, len(data))
	for _, name := range slices.Sorted(maps.Keys(data)) {
		parameters = append(parameters, powerfence.Parameter{Name: name, Value: strings.TrimRight(string(data[name]), "\r\n")})
	}
	return parameters
}
