package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/pkg/manifest"
	"github.com/quorate/quorate/pkg/snapshot"
)

// input is where the objects of a cluster come from: manifests, or the API.
type input struct {
	*access
	files     []string
	namespace string

	// set is what was read from manifests; nil for a live cluster.
	set *manifest.Set
}

func (in *input) add(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&in.files, "filename", "f", nil, "file or directory with manifests, - for standard input (repeat); without it the live cluster is asked")
	flags.StringVarP(&in.namespace, "namespace", "n", "", "namespace of what names none (default: default)")
}

// live says that the objects come from the API.
func (in *input) live() bool { return len(in.files) == 0 }

// problems are everything that is wrong with the input.
type problems []string

func (p problems) Error() string {
	if len(p) == 1 {
		return p[0]
	}
	return fmt.Sprintf("there are %d mistakes:\n  %s", len(p), strings.Join(p, "\n  "))
}

// read returns the objects of the cluster that is meant.
func (in *input) read(c *cobra.Command) (*snapshot.Objects, error) {
	if in.live() {
		return in.readLive(c.Context())
	}
	sources, err := sourcesOf(in.files, c.InOrStdin())
	if err != nil {
		return nil, problems{err.Error()}
	}
	var found []manifest.Problem
	in.set, found = manifest.Read(sources, manifest.Options{Namespace: in.namespace})
	clusters := in.set.Clusters()
	if len(clusters) > 0 {
		found = append(found, in.set.Strays(clusters)...)
	}
	cluster, err := in.oneOf(clusters)
	if err != nil {
		if len(found) > 0 {
			return nil, told(found)
		}
		return nil, problems{err.Error()}
	}
	o := in.set.Objects(cluster, len(clusters) == 1)
	errs, warnings := in.set.Check(o)
	if found = append(found, errs...); len(found) > 0 {
		return nil, told(found)
	}
	for _, w := range warnings {
		c.PrintErrln("warning:", w)
	}
	if o.Quorum == nil {
		c.PrintErrf("warning: there is no QuorumConfig %q: NodeMajority is assumed; a real cluster does not form without one\n", cluster)
	}
	return o, nil
}

func told(found []manifest.Problem) problems {
	out := make(problems, 0, len(found))
	for _, p := range found {
		if text := p.String(); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// oneOf picks the cluster that is meant among those that there are.
func (in *input) oneOf(names []string) (string, error) {
	switch {
	case in.cluster != "" && slices.Contains(names, in.cluster):
		return in.cluster, nil
	case in.cluster != "":
		return "", fmt.Errorf("flag --cluster: there is no Cluster %q in the manifests; there is %s", in.cluster, strings.Join(names, ", "))
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", errors.New("the manifests have no Cluster: name the files of a whole cluster with -f")
	}
	return "", fmt.Errorf("the manifests have several Clusters, name one with --cluster: %s", strings.Join(names, ", "))
}

// sourcesOf reads files, the manifests below directories, and standard input; each once, however often it is named.
func sourcesOf(paths []string, stdin io.Reader) ([]manifest.Source, error) {
	var sources []manifest.Source
	seen := map[string]bool{}
	for _, path := range paths {
		if path == "-" {
			if seen[path] {
				continue
			}
			seen[path] = true
			content, err := io.ReadAll(stdin)
			if err != nil {
				return nil, fmt.Errorf("reading standard input: %w", err)
			}
			sources = append(sources, manifest.Source{Name: "-", Content: content})
			continue
		}
		files, err := manifestsIn(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if seen[filepath.Clean(file)] {
				continue
			}
			seen[filepath.Clean(file)] = true
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("reading manifests: %w", err)
			}
			sources = append(sources, manifest.Source{Name: file, Content: content})
		}
	}
	return sources, nil
}

// manifestsIn is the file itself, or all manifests below a directory.
func manifestsIn(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("flag -f: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) && entry.Name() != "kustomization.yaml" {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("flag -f: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("flag -f: there is no .yaml, .yml or .json file below %s", path)
	}
	return files, nil
}

// readLive asks the API, as the group controller does.
func (in *input) readLive(ctx context.Context) (*snapshot.Objects, error) {
	api, err := in.client()
	if err != nil {
		return nil, err
	}
	name, err := in.clusterName(ctx, api)
	if err != nil {
		return nil, err
	}
	reader := &inventory.Reader{Client: api, Liveness: word{ctx: ctx, api: api}}
	return reader.Read(ctx, name)
}

// word takes the manager's word for whether the cluster is quorate: a command has not listened for signs of life.
type word struct {
	ctx context.Context
	api client.Reader
}

func (w word) Fresh(cluster string) bool {
	var c v1alpha1.Cluster
	return w.api.Get(w.ctx, client.ObjectKey{Name: cluster}, &c) == nil && c.Status.Quorate
}

func (word) Await(context.Context, string, bool) error { return nil }

func (w word) Reporter(cluster string) string {
	var c v1alpha1.Cluster
	if w.api.Get(w.ctx, client.ObjectKey{Name: cluster}, &c) != nil || c.Status.Membership == nil {
		return ""
	}
	return c.Status.Membership.Reporter
}

func (word) Recall(n *v1alpha1.Node, _ map[string]bool) *v1alpha1.Node { return n }
func (word) HighestView(string) uint64                                 { return 0 }

// old returns what an applied object would take the place of.
func (in *input) old(o *snapshot.Objects) func(kind, namespace, name string) map[string]any {
	if in.set != nil {
		return in.set.Raw
	}
	return func(kind, namespace, name string) map[string]any {
		object := liveObject(o, kind, namespace, name)
		if object == nil {
			return nil
		}
		raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return nil
		}
		return raw
	}
}

func liveObject(o *snapshot.Objects, kind, namespace, name string) any {
	switch kind {
	case "Cluster":
		if o.Cluster != nil && o.Cluster.Name == name {
			return o.Cluster
		}
	case "Node":
		if n := o.Node(name); n != nil {
			return n
		}
	case "ResourceGroup":
		for _, g := range o.Groups {
			if g.Namespace == namespace && g.Name == name {
				return g
			}
		}
	case "Resource":
		for _, r := range o.Resources {
			if r.Namespace == namespace && r.Name == name {
				return r
			}
		}
	}
	return nil
}
