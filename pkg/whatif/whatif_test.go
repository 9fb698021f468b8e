package whatif_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/manifest"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/whatif"
)

var start = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// cluster is what every test begins with: a Cluster that allows everything, and what the test adds.
const cluster = `
apiVersion: quorate.io/v1alpha1
kind: Cluster
metadata: {name: demo}
spec:
  networks: [{name: lan, role: InternalAndClient, cidrs: [10.0.0.0/24]}]
  heartbeat: {keySecretRef: {namespace: q, name: k}}
  allowedResourceTypes: [{name: all, namespaces: ["*"], types: ["*"], mountRoots: [/srv], devices: ["/dev/*"]}]
`

// manifests reads the short form of the tests: a line for each object, KIND NAME {spec}; everything else is in namespace demo.
func manifests(t *testing.T, text string) *manifest.Set {
	t.Helper()
	docs := []string{}
	if !strings.Contains(text, "Cluster demo") {
		docs = append(docs, cluster)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		name, spec, _ := strings.Cut(rest, " ")
		if spec == "" {
			spec = "{}"
		}
		meta := "{name: " + name + "}"
		switch kind {
		case "Node":
			spec = strings.Replace(spec, "{", "{clusterName: demo, addresses: [{network: lan, address: 10.0.0."+fmt.Sprint(1+len(docs))+"}], ", 1)
		case "QuorumConfig":
			spec = strings.Replace(spec, "{", "{clusterName: demo, ", 1)
		case "ResourceGroup":
			spec, meta = strings.Replace(spec, "{", "{clusterName: demo, ", 1), "{namespace: demo, name: "+name+"}"
		case "Resource":
			meta = "{namespace: demo, name: " + name + "}"
			if !strings.Contains(spec, "type:") {
				spec = strings.Replace(spec, "{", "{type: GenericApplication, genericApplication: {command: [/bin/true]}, ", 1)
			}
		case "Cluster":
			docs = append(docs, strings.Replace(cluster, "spec:", "spec:\n  "+strings.Trim(spec, "{}"), 1))
			continue
		}
		docs = append(docs, "apiVersion: quorate.io/v1alpha1\nkind: "+kind+"\nmetadata: "+meta+"\nspec: "+spec+"\n")
	}
	set, wrong := manifest.Read([]manifest.Source{{Name: "test", Content: []byte(strings.Join(docs, "---\n"))}}, manifest.Options{})
	if len(wrong) > 0 {
		t.Fatalf("%v\n%s", wrong, strings.Join(docs, "---\n"))
	}
	return set
}

// objectsOf are the objects of a whole cluster, which must be free of mistakes.
func objectsOf(t *testing.T, text string) *snapshot.Objects {
	t.Helper()
	set := manifests(t, text)
	o := set.Objects("demo", true)
	if errs, _ := set.Check(o); len(errs) > 0 {
		t.Fatalf("%v", errs)
	}
	return o
}

// eventsOf reads events; apply=NAME takes its manifests from files.
func eventsOf(t *testing.T, lines []string, files map[string]string) []whatif.Event {
	t.Helper()
	var events []whatif.Event
	for _, line := range lines {
		e, err := whatif.ParseEvent(line)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == whatif.Apply {
			e.Objects = manifests(t, files[e.File]).Objects("demo", true)
			if !strings.Contains(files[e.File], "Cluster demo") {
				e.Objects.Cluster = nil
			}
		}
		events = append(events, e)
	}
	return events
}

// TestWhatIf plays the files of testdata: `cluster` gives manifests in short form, `file NAME` some for apply, `simulate` runs the events
// of its lines from the beginning, `failures` tries every failure and every pair.
func TestWhatIf(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var objects *snapshot.Objects
		files := map[string]string{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			lines := strings.Fields(d.Input)
			switch d.Cmd {
			case "cluster":
				objects = objectsOf(t, d.Input)
				return "ok"
			case "file":
				files[d.CmdArgs[0].Key] = d.Input
				return "ok"
			case "simulate":
				events := eventsOf(t, lines, files)
				if wrong := whatif.Prepare(objects, events); len(wrong) > 0 {
					return formatProblems(wrong)
				}
				result, err := whatif.New(whatif.Options{Objects: objects, Now: start}).Run(events)
				if err != nil {
					return "error: " + err.Error()
				}
				return formatSteps(result.Steps, d.HasArg("verbose"))
			case "failures":
				w := whatif.New(whatif.Options{Objects: objects, Now: start})
				if _, err := w.Run(eventsOf(t, lines, files)); err != nil {
					t.Fatal(err)
				}
				steps, err := w.Failures(true, true)
				if err != nil {
					t.Fatal(err)
				}
				return formatSteps(steps, false)
			}
			t.Fatalf("%s: there is no command %s", d.Pos, d.Cmd)
			return ""
		})
	})
}

func formatProblems(list []whatif.Problem) string {
	var lines []string
	for _, p := range list {
		lines = append(lines, "bad "+p.Event+": "+p.Message)
	}
	return strings.Join(lines, "\n")
}

// formatSteps writes a step in a line, and one for each of its actions. Names lose their namespace.
func formatSteps(steps []whatif.Step, verbose bool) string {
	var b strings.Builder
	short := func(s string) string { return strings.TrimPrefix(s, "demo/") }
	for _, s := range steps {
		fmt.Fprintf(&b, "%s:", s.Event)
		if !s.Quorate {
			b.WriteString(" NO QUORUM")
		}
		for _, g := range slices.Sorted(maps.Keys(s.Placement)) {
			fmt.Fprintf(&b, " %s@%s", short(g), s.Placement[g])
		}
		b.WriteString("\n")
		for _, a := range s.Actions {
			fmt.Fprintf(&b, "  %s %s %s>%s %s\n", a.Action, short(a.Group), a.From, a.To, a.Reason)
			if verbose {
				fmt.Fprintf(&b, "    %s\n", a.Message)
			}
		}
		for _, g := range slices.Sorted(maps.Keys(s.Unplaced)) {
			u := s.Unplaced[g]
			fmt.Fprintf(&b, "  - %s %s %v\n", short(g), u.Reason, u.Nodes)
			if verbose {
				fmt.Fprintf(&b, "    %s\n", u.Message)
			}
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// TestShape holds the shape of the JSON, which programs read.
func TestShape(t *testing.T) {
	objects := objectsOf(t, "Node a {capacity: {cpu: 1}}\nNode b {capacity: {cpu: 1}}\nNode c {capacity: {cpu: 0}}\nResourceGroup web {preferredOwners: [a], requests: {cpu: 1}}\nResourceGroup db {preferredOwners: [b], requests: {cpu: 1}}")
	result, err := whatif.New(whatif.Options{Objects: objects, Now: start}).Run(eventsOf(t, []string{"node-down=a"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(result.Steps[1])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"event":"node-down=a","quorate":true,"actions":[{"group":"demo/web","action":"Offline","from":"a","to":"","reason":"NodeDown","message":"a is down; no node may take the group: ` +
		`a is not in the quorate view; b has no room for the group's requests (cpu: 1 asked for, 0 of 1 free); c has no room for the group's requests (cpu: 1 asked for, 0 of 0 free)"}],` +
		`"placement":{"demo/db":"b"},"unplaced":{"demo/web":{"reason":"InsufficientCapacity","message":"no node may take the group: a is not in the quorate view; ` +
		`b has no room for the group's requests (cpu: 1 asked for, 0 of 1 free); c has no room for the group's requests (cpu: 1 asked for, 0 of 0 free)",` +
		`"nodes":{"a":"NodeDown","b":"InsufficientCapacity","c":"InsufficientCapacity"}}}}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if raw, err = json.Marshal(&whatif.Result{}); err != nil || string(raw) != `{"steps":null,"placement":null,"unplaced":null}` {
		t.Errorf("top level: %s, %v", raw, err)
	}
}

// TestObjectsAreNotChanged: what is simulated leaves the objects that it begins with alone, and a clone the world that it was made of.
func TestObjectsAreNotChanged(t *testing.T) {
	text := "Node a\nNode b\nNode c\nResourceGroup web {preferredOwners: [a], failback: {policy: Immediate}}\nResource app {groupName: web}"
	objects, same := objectsOf(t, text), objectsOf(t, text)
	w := whatif.New(whatif.Options{Objects: objects, Now: start})
	first, err := w.Start()
	if err != nil {
		t.Fatal(err)
	}
	clone := w.Clone()
	for _, e := range eventsOf(t, []string{"node-down=a", "drain=b", "resource-fail=demo/app", "node-up=a", "delete=node/c", "delete=rg/web", "wait=1h"}, nil) {
		if _, err := clone.Do(e); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(same, objects); diff != "" {
		t.Errorf("the objects were changed (-before +after):\n%s", diff)
	}
	again, err := w.Do(whatif.Event{Text: "start", Kind: whatif.Wait})
	if err != nil {
		t.Fatal(err)
	}
	first.Actions = again.Actions
	if diff := cmp.Diff(first, again); diff != "" || len(again.Actions) > 0 {
		t.Errorf("the world was changed by its clone (-before +after):\n%s", diff)
	}
}

// TestExitCode: no quorum is worse than a group without a home, whichever comes first.
func TestExitCode(t *testing.T) {
	well := whatif.Step{Quorate: true}
	missing := whatif.Step{Quorate: true, Unplaced: map[string]whatif.Unplaced{"demo/web": {}}}
	for name, tc := range map[string]struct {
		steps []whatif.Step
		want  int
	}{
		"all placed":         {[]whatif.Step{well}, 0},
		"one missing":        {[]whatif.Step{well, missing, well}, 3},
		"no quorum":          {[]whatif.Step{missing, {}}, 4},
		"no quorum at first": {[]whatif.Step{{}, missing}, 4},
	} {
		if got := whatif.ExitCode(tc.steps...); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
