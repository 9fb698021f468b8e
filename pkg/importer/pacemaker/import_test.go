package pacemaker

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/manifest"
	"github.com/quorate/quorate/pkg/validation"
)

// TestImport runs testdata/import: `import cib=FILE [corosync=FILE] [cluster=NAME] [namespace=NAME] [address=(NODE,ADDRESS)]` prints
// the manifests and the report, `report` the report alone, and `text` imports its input.
func TestImport(t *testing.T) {
	datadriven.Walk(t, "testdata/import", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return run(t, d)
		})
	})
}

func run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var opts Options
	cib := []byte(d.Input)
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "cib":
			cib = read(t, arg.Vals[0])
		case "corosync":
			opts.Corosync, opts.CorosyncName = read(t, arg.Vals[0]), arg.Vals[0]
		case "corosync-text":
			opts.Corosync = []byte(strings.ReplaceAll(arg.Vals[0], ";", "\n"))
		case "cluster":
			opts.ClusterName = arg.Vals[0]
		case "namespace":
			opts.Namespace = arg.Vals[0]
		case "address":
			p, err := netip.ParsePrefix(arg.Vals[1])
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			opts.Addresses = map[string][]netip.Prefix{arg.Vals[0]: {p}}
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	r, err := Import(cib, opts)
	if err != nil {
		return "error: " + err.Error()
	}
	mustBeUsable(t, r)
	var out strings.Builder
	if d.Cmd == "import" {
		if err := r.Write(&out, YAML); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n")
	}
	if err := r.Report.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "cib", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// mustBeUsable reads what is written as `kubectl quorate simulate` does: it is YAML, an API server would take it, and nothing has become
// something else on the way. The validation of the controllers refuses nothing that is not in the report.
func mustBeUsable(t testing.TB, r *Result) {
	t.Helper()
	mustBeRead(t, r, YAML)
	for _, f := range validation.Check(r.Snapshot()).All() {
		if f.Warning {
			continue
		}
		reported := false
		for _, e := range r.Report.Entries {
			reported = reported || e.Severity == Todo && e.ID == f.Name && strings.Contains(e.What, f.Message)
		}
		if !reported {
			t.Errorf("not in the report: %s", f.Text())
		}
		// Only these are the CIB's own doing; anything else is a mistake of the import.
		switch f.Reason {
		case v1alpha1.ResourceReasonTypeNotSupported, v1alpha1.ResourceReasonNotShareable, v1alpha1.ResourceReasonAddressInUse,
			v1alpha1.ResourceReasonDiskInUse, v1alpha1.ResourceReasonNotAllowed:
		default:
			t.Errorf("the validation refuses what was imported: %s", f.Text())
		}
	}
}

// mustBeRead has pkg/manifest read what Write prints, and compares.
func mustBeRead(t testing.TB, r *Result, format string) {
	t.Helper()
	var text bytes.Buffer
	if err := r.Write(&text, format); err != nil {
		t.Fatal(err)
	}
	set, wrong := manifest.Read([]manifest.Source{{Name: "manifests." + format, Content: text.Bytes()}}, manifest.Options{})
	for _, p := range wrong {
		t.Errorf("what is written cannot be applied: %s", p)
	}
	for _, o := range r.Objects() {
		want, err := bare(o)
		if err != nil {
			t.Fatal(err)
		}
		if want["kind"] == "Secret" {
			continue // of another API: read as YAML, and no more
		}
		meta := want["metadata"].(map[string]any)
		namespace, _ := meta["namespace"].(string)
		got := set.Raw(want["kind"].(string), namespace, meta["name"].(string))
		if at := differs(got, want); at != "" {
			t.Errorf("%s %s is read with another %s:\n%v\nwritten:\n%v", want["kind"], meta["name"], at, got, want)
		}
	}
}

// differs is the path of the first thing in want that is not the same in got, which may have more: defaults. It is empty for none.
func differs(got, want any) string {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if at := differs(m[key], want[key]); !ok || at != "" {
				return key + " " + at
			}
		}
		return ""
	case []any:
		list, _ := got.([]any)
		if len(list) != len(want) {
			return "length"
		}
		for i := range want {
			if at := differs(list[i], want[i]); at != "" {
				return fmt.Sprintf("%d %s", i, at)
			}
		}
		return ""
	}
	if fmt.Sprint(got) == fmt.Sprint(want) { // numbers are read as integers, and written as those of JSON
		return ""
	}
	return "value"
}

// TestTwiceTheSame: the same CIB gives the same bytes.
func TestTwiceTheSame(t *testing.T) {
	for _, name := range []string{"nfs.xml", "web.xml", "replicated.xml", "optin.xml"} {
		text := func() string {
			r, err := Import(read(t, name), Options{})
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for _, format := range Formats {
				mustBeRead(t, r, format)
				if err := r.Write(&out, format); err != nil {
					t.Fatal(err)
				}
			}
			fmt.Fprint(&out, r.Report)
			return out.String()
		}
		if once, again := text(), text(); once != again {
			t.Errorf("%s: two imports differ", name)
		}
	}
}

// FuzzImport: whatever the file, it is imported into manifests that the API server takes, or refused with a line.
func FuzzImport(f *testing.F) {
	paths, err := filepath.Glob("testdata/cib/*.xml")
	if err != nil || len(paths) < 4 {
		f.Fatalf("%d CIBs (%v)", len(paths), err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("<cib><configuration/></cib>"))
	f.Add([]byte("<cib><configuration><resources><primitive id='a' class='ocf' provider='p' type='t' description='\u0085&#127; &#x2028;'/></resources></configuration></cib>"))
	f.Fuzz(func(t *testing.T, cib []byte) {
		r, err := Import(cib, Options{})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Fatalf("an error without a line: %v", err)
			}
			return
		}
		mustBeUsable(t, r)
	})
}

// FuzzCorosync: whatever the file, it is read or refused with a line.
func FuzzCorosync(f *testing.F) {
	text, err := os.ReadFile("testdata/cib/nfs.conf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("totem {\n cluster_name: a\x7f\u0085\xff\n}\n")
	cib := []byte(`<cib><configuration><nodes><node id="1" uname="nfs1.example.com"/></nodes></configuration></cib>`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Import(cib, Options{Corosync: []byte(text)})
		if err == nil {
			mustBeUsable(t, r)
		} else if !strings.Contains(err.Error(), "corosync.conf: line ") {
			t.Fatalf("an error without a line: %v", err)
		}
	})
}
