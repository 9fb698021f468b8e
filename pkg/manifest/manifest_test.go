package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
)

const good = `# A comment.
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
apiVersion: quorate.io/v1alpha1
kind: Cluster
metadata: {name: demo}
spec:
  networks: [{name: lan, role: InternalAndClient, cidrs: [10.0.0.0/24]}]
  heartbeat: {keySecretRef: {namespace: q, name: k}}
  allowedResourceTypes: [{name: all, namespaces: ["*"], types: ["*"]}]
---
apiVersion: quorate.io/v1alpha1
kind: ResourceGroupList
items:
- apiVersion: quorate.io/v1alpha1
  kind: ResourceGroup
  metadata: {name: web}
  spec: {clusterName: demo}
- apiVersion: quorate.io/v1alpha1
  kind: ResourceGroup
  metadata: {name: db, namespace: data}
  spec: {clusterName: demo, priority: 0}
---
{"apiVersion": "quorate.io/v1alpha1", "kind": "Resource", "metadata": {"name": "app"},
 "spec": {"groupName": "web", "type": "GenericApplication", "genericApplication": {"command": ["/bin/true"]}}}
`

func read(t *testing.T, text string, opts Options) (*Set, []Problem) {
	t.Helper()
	return Read([]Source{{Name: "x.yaml", Content: []byte(text)}}, opts)
}

// TestDefaults: what is read has the defaults that the API server would have filled in, in the namespace that was asked for.
func TestDefaults(t *testing.T) {
	set, wrong := read(t, good, Options{Namespace: "shop"})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	o := set.Objects("demo", false)
	if len(o.Groups) != 2 || len(o.Resources) != 1 || o.Cluster == nil {
		t.Fatalf("%d groups, %d resources, Cluster %v", len(o.Groups), len(o.Resources), o.Cluster)
	}
	db, web := o.Groups[0], o.Groups[1]
	if web.Namespace != "shop" || db.Namespace != "data" {
		t.Errorf("namespaces %s and %s, want shop and data", web.Namespace, db.Namespace)
	}
	if *web.Spec.Priority != 2000 || *db.Spec.Priority != 0 || *web.Spec.Failover.Threshold != 6 || web.Spec.Failover.Period.Duration != 10*time.Hour {
		t.Errorf("group: %+v", web.Spec)
	}
	if r := o.Resources[0].Spec; *r.Restart.Threshold != 3 || r.Restart.Policy != v1alpha1.RestartThenFailover || r.DesiredState != v1alpha1.DesiredOnline {
		t.Errorf("resource: %+v", r)
	}
	if c := o.Cluster.Spec; c.Heartbeat.Interval.Duration != 250*time.Millisecond || c.SelfFence.Timeout.Duration != time.Second || c.Preemption != v1alpha1.PreemptionNever {
		t.Errorf("cluster: %+v", c)
	}
}

// TestMistakes: each mistake is told with file, line, object and field, and none hides another.
func TestMistakes(t *testing.T) {
	group := "apiVersion: quorate.io/v1alpha1\nkind: ResourceGroup\nmetadata: {name: web}\nspec:\n  clusterName: demo\n"
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"nothing":              {"", nil},
		"only comments":        {"# nothing\n---\n---\n", nil},
		"of another API":       {"apiVersion: v1\nkind: Secret\nmetadata: {name: k}\n", nil},
		"no object":            {"[]\n", []string{"x.yaml:1: this is no Kubernetes object"}},
		"no kind":              {"a: b\n", []string{"x.yaml:1: this is no Kubernetes object: apiVersion and kind are needed"}},
		"not YAML":             {good + "---\nspec:\n  a: [b\n", []string{"x.yaml:30: this is not YAML"}},
		"a key twice":          {group + "  clusterName: other\n", []string{`key "clusterName" already set`}},
		"an unknown kind":      {"apiVersion: quorate.io/v1alpha1\nkind: ResourceGrup\n", []string{`x.yaml:2: ResourceGrup: kind: there is no kind "ResourceGrup" in quorate.io/v1alpha1; did you mean "ResourceGroup"?`}},
		"an unknown version":   {"apiVersion: quorate.io/v2\nkind: Node\n", []string{`x.yaml:1: Node: apiVersion: "quorate.io/v2" is no version of the API: use quorate.io/v1alpha1`}},
		"no name":              {"apiVersion: quorate.io/v1alpha1\nkind: Node\n", []string{"x.yaml:1: Node: metadata.name"}},
		"a name that is false": {strings.Replace(group, "name: web", "name: off", 1), []string{"x.yaml:3: ResourceGroup: metadata.name: false is a bool and no text"}},
		"a needless namespace": {"apiVersion: quorate.io/v1alpha1\nkind: QuorumConfig\nmetadata:\n  name: demo\n  namespace: x\nspec: {clusterName: demo}\n", []string{"x.yaml:5: QuorumConfig x/demo: metadata.namespace"}},
		"an unknown field":     {group + "  preferedOwners: [a]\n", []string{`x.yaml:6: ResourceGroup default/web: spec.preferedOwners: "preferedOwners": there is no such field; did you mean "preferredOwners"?`}},
		"a wrong type":         {group + "  preferredOwners: a\n", []string{"x.yaml:6: ResourceGroup default/web: spec.preferredOwners"}},
		"a rule of one field":  {group + "  failover:\n    period: 0s\n", []string{`x.yaml:7: ResourceGroup default/web: spec.failover.period: "0s": period must be greater than 0s`}},
		"a rule of several":    {group + "  failback:\n    policy: Window\n", []string{"x.yaml:6: ResourceGroup default/web: spec.failback.window: window must be set for policy Window, and for no other"}},
		"twice in a set":       {group + "  antiAffinityClasses:\n  - a\n  - a\n", []string{"x.yaml:8: ResourceGroup default/web: spec.antiAffinityClasses[1]: Duplicate value"}},
		"the same object":      {group + "---\n" + group, []string{"x.yaml:9: ResourceGroup default/web: metadata.name: the object is in x.yaml:3 already"}},
		"two in one object":    {group + "  priority: 7\n  mode: Both\n", []string{"x.yaml:6: ResourceGroup default/web: spec.priority", "x.yaml:7: ResourceGroup default/web: spec.mode"}},
		"in an item of a list": {"apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(group), "\n", "\n  ") + "\n    priority: 7\n", []string{"x.yaml:9: ResourceGroup default/web: spec.priority"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, wrong := read(t, tc.text, Options{})
			if len(wrong) != len(tc.want) {
				t.Fatalf("%d problems, want %d: %v", len(wrong), len(tc.want), wrong)
			}
			for i, want := range tc.want {
				if !strings.Contains(wrong[i].String(), want) {
					t.Errorf("%s\nwant %s", wrong[i], want)
				}
			}
		})
	}
}

// TestOld: what must not be changed is compared with what is there.
func TestOld(t *testing.T) {
	set, _ := read(t, good, Options{})
	changed := strings.Replace(good, "metadata: {name: web}\n  spec: {clusterName: demo}", "metadata: {name: web}\n  spec: {clusterName: other}", 1)
	_, wrong := read(t, changed, Options{Old: set.Raw})
	if len(wrong) != 1 || !strings.Contains(wrong[0].String(), `x.yaml:20: ResourceGroup default/web: spec.clusterName: "other": clusterName is immutable`) {
		t.Errorf("%v", wrong)
	}
}

// TestBetween: rules over several objects tell their places too, and which name may have been meant.
func TestBetween(t *testing.T) {
	text := strings.Replace(good, `"groupName": "web"`, `"groupName": "wbe"`, 1)
	set, wrong := read(t, text, Options{})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	errs, _ := set.Check(set.Objects("demo", true))
	if len(errs) != 1 || errs[0].String() != `x.yaml:27: Resource default/app: spec.groupName: there is no ResourceGroup "wbe" in namespace default; did you mean "web"?` {
		t.Errorf("%v", errs)
	}
	strays := set.Strays([]string{"deno"})
	if len(strays) != 2 || strays[0].String() != `x.yaml:20: ResourceGroup default/web: spec.clusterName: there is no Cluster "demo"; did you mean "deno"?` {
		t.Errorf("%v", strays)
	}
}

// TestSamples: the samples are free of mistakes: those of whole clusters, and those that are applied to the demo's.
func TestSamples(t *testing.T) {
	for name, patterns := range map[string][]string{
		"demo": {"demo/*.yaml"}, "two-node": {"two-node/*.yaml"}, "three-plus-one": {"three-plus-one/*.yaml"},
		"added to the demo": {
			"demo/*.yaml", "load-balanced.yaml", "postgresql-process.yaml", "postgresql-ocf.yaml", "licence-server.yaml", "dhcp.yaml", "file-sync.yaml",
		},
	} {
		var files []string
		for _, pattern := range patterns {
			found, err := filepath.Glob(filepath.Join("../../config/samples", pattern))
			if err != nil || len(found) == 0 {
				t.Fatalf("%s: no samples %s: %v", name, pattern, err)
			}
			files = append(files, found...)
		}
		var sources []Source
		for _, f := range files {
			content, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, Source{Name: f, Content: content})
		}
		set, wrong := Read(sources, Options{})
		errs, warnings := set.Check(set.Objects("demo", true))
		if len(wrong)+len(errs)+len(warnings) > 0 {
			t.Errorf("%s: %v %v %v", name, wrong, errs, warnings)
		}
	}
}

// FuzzRead: whatever the text, it is read or refused, and problems are in its lines.
func FuzzRead(f *testing.F) {
	for _, text := range []string{good, "", "---\n", "a: &a [*a]\n", "{", "kind: List\napiVersion: v1\nitems: [1, {}]\n", "apiVersion: quorate.io/v1alpha1\nkind: Node\nmetadata: 7\nspec: x\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, wrong := Read([]Source{{Name: "x", Content: text}}, Options{})
		lines := strings.Count(string(text), "\n") + 1
		for _, p := range wrong {
			if p.Message == "" || p.Line < 0 || p.Line > lines+1 {
				t.Errorf("problem %+v of a text of %d lines", p, lines)
			}
		}
		for _, cluster := range set.Clusters() {
			set.Check(set.Objects(cluster, true))
		}
	})
}
