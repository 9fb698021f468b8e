package structure

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/quorate/quorate/"

// rule forbids dependencies to packages, direct or not, and says why.
type rule struct {
	// packages are path prefixes below the module to which the rule applies.
	packages []string
	// forbidden are import path prefixes; those that start with "./" are below the module.
	forbidden []string
	// direct checks only the package's own imports.
	direct bool
	why    string
}

var (
	pure        = []string{"pkg/model", "pkg/membership", "pkg/quorum", "pkg/policy", "pkg/lifecycle", "pkg/quarantine", "pkg/fenceplan"}
	translation = []string{"pkg/snapshot", "pkg/nameservice", "pkg/coregroup", "pkg/status", "pkg/validation", "pkg/replica", "pkg/decision", "pkg/autonomy", "pkg/whatif", "pkg/manifest", "pkg/nearest", "pkg/explain", "pkg/importer"}
	shells      = []string{
		"./pkg/heartbeat", "./pkg/reservation", "./pkg/resourcetype", "./pkg/monitor", "./pkg/guardian", "./pkg/watchdog", "./pkg/addressguard",
		"./pkg/runstate", "./pkg/cgroup", "./pkg/nodeagent", "./pkg/witness", "./pkg/blockdev", "./pkg/bounded", "./pkg/localapi",
		"./pkg/powerfence", "./pkg/dnsupdate", "./pkg/filesystem", "./pkg/mesh", "./pkg/apiservers", "./pkg/systemd",
	}
)

var rules = []rule{
	{
		packages: pure, forbidden: []string{"k8s.io/", "sigs.k8s.io/", "./api"},
		why: "the same decisions run in the manager, the command line and the agents: plain values only",
	},
	{
		packages: pure, forbidden: []string{"os", "net", "log", "math/rand", "math/rand/v2", "github.com/go-logr/"}, direct: true,
		why: "the pure ring does no I/O, logs nothing and rolls no dice: time and chance are inputs",
	},
	{
		packages: append(append([]string{}, pure...), translation...), forbidden: append([]string{"./controllers", "./cmd", "./test"}, shells...),
		why: "imports run downwards only",
	},
	{
		packages:  []string{"pkg/model"},
		forbidden: []string{"./pkg/membership", "./pkg/quorum", "./pkg/policy", "./pkg/lifecycle"},
		why:       "everything imports the model, it imports nothing of ours",
	},
	{
		packages: []string{"pkg/membership", "pkg/quorum"}, forbidden: []string{"./pkg/policy", "./pkg/lifecycle"},
		why: "membership does not know what runs on its nodes",
	},
	{
		packages: []string{"pkg/policy"}, forbidden: []string{"./pkg/membership", "./pkg/lifecycle"},
		why: "policy decides from a snapshot, not from machines",
	},
	{
		packages: []string{"controllers"}, forbidden: shells,
		why: "only agents touch hardware: controllers cannot fence, mount or reserve",
	},
	{
		packages: []string{"api"}, forbidden: []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "./pkg", "./controllers"},
		why: "whoever uses the API types needs apimachinery only", direct: false,
	},
	{
		packages: []string{"controllers"}, forbidden: []string{"./pkg/audit"},
		why: "the audit looks from outside: nothing that it judges may use it",
	},
	{
		packages: []string{"pkg", "controllers", "api"}, forbidden: []string{"./cmd", "./test"},
		why: "nothing imports commands or tests",
	},
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Doc        string
	GoFiles    []string
	Name       string
}

func list(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,Doc,GoFiles,Name", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("reading go list: %v", err)
		}
		all = append(all, p)
	}
}

func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

// TestImportRules holds the import rules of ARCHITECTURE.md.
func TestImportRules(t *testing.T) {
	for _, p := range list(t) {
		local := strings.TrimPrefix(p.ImportPath, module)
		for _, r := range rules {
			if !applies(r, local) {
				continue
			}
			imports := p.Deps
			if r.direct {
				imports = p.Imports
			}
			for _, imported := range imports {
				if offends(r, imported) {
					t.Errorf("%s imports %s: %s", local, imported, r.why)
				}
			}
		}
	}
}

func applies(r rule, local string) bool {
	if strings.HasPrefix(local, "api/applyconfiguration") {
		return false // generated, and needs client-go's apply types
	}
	for _, prefix := range r.packages {
		if under(local, prefix) {
			return !strings.HasSuffix(local, "polictest")
		}
	}
	return false
}

func offends(r rule, imported string) bool {
	for _, bad := range r.forbidden {
		if local, ok := strings.CutPrefix(bad, "./"); ok {
			bad = module + local
		}
		if under(imported, bad) {
			return true
		}
	}
	return false
}

// TestPackagesAreDocumented wants a package comment everywhere, and no drawer for odds and ends.
func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range list(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" && !strings.Contains(p.ImportPath, "/applyconfiguration") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		switch p.Name {
		case "util", "utils", "common", "helpers", "helper", "misc":
			t.Errorf("%s: a package is named for what it is for", p.ImportPath)
		}
	}
}
