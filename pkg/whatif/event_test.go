package whatif_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/whatif"
)

func TestParseEvent(t *testing.T) {
	good := map[string]whatif.Event{
		"node-down=a":                  {Kind: whatif.NodeDown, Nodes: []string{"a"}},
		"node-down=a,b":                {Kind: whatif.NodeDown, Nodes: []string{"a", "b"}},
		"node-up=a":                    {Kind: whatif.NodeUp, Nodes: []string{"a"}},
		"drain=a":                      {Kind: whatif.Drain, Nodes: []string{"a"}},
		"resume=a":                     {Kind: whatif.Resume, Nodes: []string{"a"}},
		"resource-fail=ns/app":         {Kind: whatif.ResourceFail, Namespace: "ns", Name: "app"},
		"move=ns/web:best":             {Kind: whatif.MoveGroup, Namespace: "ns", Name: "web", Nodes: []string{"best"}},
		"apply=dir/a=b.yaml":           {Kind: whatif.Apply, File: "dir/a=b.yaml"},
		"delete=rg/ns/web":             {Kind: whatif.Delete, Object: "rg", Namespace: "ns", Name: "web"},
		"delete=Node/a":                {Kind: whatif.Delete, Object: "Node", Name: "a"},
		"wait=1h30m":                   {Kind: whatif.Wait, Wait: 90 * time.Minute},
		"at=2026-03-29T02:30:00Z":      {Kind: whatif.At, At: time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)},
		"at=2026-03-29T02:30:00.5Z":    {Kind: whatif.At, At: time.Date(2026, 3, 29, 2, 30, 0, 5e8, time.UTC)},
		"at=2026-03-29T03:30:00+01:00": {Kind: whatif.At, At: time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)},
	}
	for text, want := range good {
		want.Text = text
		got, err := whatif.ParseEvent(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", text, err, diff)
		}
	}
	bad := map[string]string{
		"node-dwn=a":          `did you mean "node-down"?`,
		"explode=a":           "there is apply, at, delete",
		"node-down":           "write it node-down=NODE[,NODE...]",
		"node-down=":          "write it node-down=NODE[,NODE...]",
		"node-down=a,":        "a name is empty",
		"resource-fail=app":   `"app" is no namespace and name`,
		"resource-fail=a/b/c": `"a/b/c" is no namespace and name`,
		"move=ns/web":         "the node is missing",
		"move=ns/web:":        "a name is empty",
		"move=web:a":          `"web" is no namespace and name`,
		"delete=web":          "is no kind and name",
		"delete=rg//web":      "is no kind and name",
		"wait=6":              `"6" is no duration`,
		"wait=-1h":            `"-1h" is no duration`,
		"wait=999999h":        `is no duration from 0s to 87600h`,
		"at=tomorrow":         "as RFC 3339 has them",
		"at=2026-03-29":       "as RFC 3339 has them",
	}
	for text, want := range bad {
		if _, err := whatif.ParseEvent(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("%s: %v, want %q and the event", text, err, want)
		}
	}
}

// FuzzParseEvent: no text makes the parser panic, and what it accepts names everything that the kind needs.
func FuzzParseEvent(f *testing.F) {
	for _, text := range []string{"node-down=a,b", "move=a/b:c", "delete=rg/a/b", "wait=1h", "at=2026-03-29T02:30:00+01:00", "apply=-", "resource-fail=a/b", "x", "=", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := whatif.ParseEvent(text)
		if err != nil {
			return
		}
		if e.Text != text {
			t.Fatalf("%q became %q", text, e.Text)
		}
		for _, n := range e.Nodes {
			if n == "" {
				t.Fatalf("%q names an empty node", text)
			}
		}
		switch e.Kind {
		case whatif.NodeDown, whatif.NodeUp, whatif.Drain, whatif.Resume:
			if len(e.Nodes) == 0 {
				t.Fatalf("%q names no node", text)
			}
		case whatif.ResourceFail, whatif.MoveGroup:
			if e.Namespace == "" || e.Name == "" {
				t.Fatalf("%q names nothing", text)
			}
		case whatif.Delete:
			if e.Object == "" || e.Name == "" {
				t.Fatalf("%q names nothing", text)
			}
		case whatif.Apply:
			if e.File == "" {
				t.Fatalf("%q names no file", text)
			}
		case whatif.Wait:
			if e.Wait < 0 || e.Wait > whatif.MaxWait {
				t.Fatalf("%q waits for %s", text, e.Wait)
			}
		case whatif.At:
			if e.At.IsZero() && !strings.HasPrefix(text, "at=0001-01-01") {
				t.Fatalf("%q has no time", text)
			}
		}
	})
}
