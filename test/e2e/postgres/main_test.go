package postgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype/container"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

const (
	recovery = beside.Recovery
	// quickCuts are made of one variant when nobody says how many.
	quickCuts = 2
	// diskSize is what the samples ask for.
	diskSize = 512 << 20
	// inSamples is where the samples look for the server.
	inSamples = "/usr/lib/postgresql/15/bin"
	installed = "/usr/lib/postgresql/*/bin"
	password  = "for-the-test-alone"
)

var (
	bed  *beside.Bed
	must = beside.Must
)

func TestMain(m *testing.M) {
	o := lab.Options{Name: "pg", Hosts: 3, DiskSize: diskSize}
	os.Exit(beside.Main(m, o, "../../../config/samples/demo", func(ctx context.Context, b *beside.Bed) error {
		bed = b
		return b.Home(ctx, beside.Shop, beside.News)
	}))
}

// variant is a sample of PostgreSQL.
type variant struct {
	group, sample, address, disk string
	// user whose processes are the server's, as hosts see it.
	user string
	// boxed is in a container.
	boxed     bool
	imageFile string
}

var (
	process = variant{group: "orders", sample: "postgresql-process.yaml", address: "10.77.2.121", disk: "disk-4.img", user: "postgres"}
	ocf     = variant{group: "billing", sample: "postgresql-ocf.yaml", address: "10.77.2.122", disk: "disk-5.img", user: "postgres"}
	boxed   = variant{group: "ledger", sample: "postgresql-container.yaml", address: "10.77.2.123", disk: "disk-8.img", user: "999", boxed: true}
)

// cuts is how many power cuts to make; long says that it is more than the few of `make test`.
func cuts(t *testing.T) (n int, long bool) {
	t.Helper()
	text := os.Getenv("QUORATE_POWER_CUTS")
	if text == "" {
		return quickCuts, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("QUORATE_POWER_CUTS=%q: it is the number of power cuts, such as 20", text)
	}
	return n, true
}

// programs is the directory of the newest server that is installed on this machine, which the hosts share.
func programs(t *testing.T) string {
	t.Helper()
	all, err := filepath.Glob(installed)
	must(t, err)
	best, newest := "", -1
	for _, dir := range all {
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && version > newest {
			if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
				best, newest = dir, version
			}
		}
	}
	if best == "" {
		t.Fatal("PostgreSQL is not installed: run `make setup`")
	}
	return best
}

func (v variant) directory() string { return "/srv/quorate/" + v.group }

// start applies the sample, on a disk that nobody has used, waits until it is online, and gives the application a role and a table. All of it goes at the end.
func (v variant) start(t *testing.T, ctx context.Context, disk string) *writer {
	t.Helper()
	manifests, err := os.ReadFile(filepath.Join("../../../config/samples", v.sample))
	must(t, err)
	text := string(manifests)
	replace := func(old, with string) {
		if !strings.Contains(text, old) {
			t.Fatalf("%s does not name %s", v.sample, old)
		}
		text = strings.ReplaceAll(text, old, with)
	}
	replace(v.disk, disk)
	if v.boxed {
		replace(imageInSample, image)
	} else {
		replace(inSamples, programs(t))
	}
	for _, host := range bed.Hosts {
		v.equip(t, ctx, host)
	}
	beside.Create(t, ctx, bed.Cluster, text, func(ctx context.Context) { v.nothingLeft(t, ctx) })
	must(t, bed.Cluster.WaitOnline(ctx, recovery, v.group, ""))
	v.sql(t, ctx, fmt.Sprintf("CREATE ROLE app LOGIN PASSWORD '%s'; CREATE TABLE entries (n bigint NOT NULL); GRANT SELECT, INSERT ON entries TO app", password))
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes", "data_checksums"} {
		if value := v.sql(t, ctx, "SHOW "+setting); value != "on" {
			t.Fatalf("%s is %q", setting, value)
		}
	}
	return write(v.client(t))
}

// client is how the application connects, from outside of the cluster.
func (v variant) client(t *testing.T) *pgx.ConnConfig {
	t.Helper()
	config, err := connection(func(ctx context.Context, network, address string) (net.Conn, error) {
		return bed.Dial(ctx, lab.Client, network, address)
	}, fmt.Sprintf("postgres://app:%s@%s:5432/postgres?sslmode=disable", password, v.address))
	must(t, err)
	return config
}

// sql has the database's administrator run a statement on the host that has the group.
func (v variant) sql(t *testing.T, ctx context.Context, statement string) string {
	t.Helper()
	owner, query := v.owner(t, ctx), []string{"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement}
	as := []string{"env", "PATH=" + programs(t) + ":/usr/bin:/bin", "/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "env", "PGHOST=" + v.directory() + "/run"}
	if v.boxed {
		as = []string{"ctr", "-n", container.Namespace, "tasks", "exec", "--exec-id", "admin", v.container(t, ctx, owner)}
	}
	out, err := bed.Exec(ctx, owner, append(as, query...)...)
	must(t, err)
	return strings.TrimSpace(out)
}

func (v variant) owner(t *testing.T, ctx context.Context) string {
	t.Helper()
	g, err := bed.Cluster.Group(ctx, v.group)
	must(t, err)
	if g.Status.Assignment == nil {
		t.Fatalf("%s is nowhere: %s", v.group, observe.Describe(g))
	}
	return g.Status.Assignment.Node
}

// nothingLeft waits until nothing of the group is on any host: no server, mount or address.
func (v variant) nothingLeft(t *testing.T, ctx context.Context) {
	t.Helper()
	ours := "-f " + v.directory()
	if v.boxed {
		ours = "postgres" // whose command line names a directory of the container
	}
	script := fmt.Sprintf("! pgrep -u %[3]s %[4]s && ! grep -q %[1]s /proc/self/mounts && ! ip -o addr | grep -q %[2]s/", v.directory(), v.address, v.user, ours)
	for _, host := range bed.Hosts {
		must(t, observe.Wait(ctx, recovery, "nothing of "+v.group+" is left on "+host, func(ctx context.Context) (bool, string, error) {
			out, err := bed.Exec(ctx, host, "sh", "-c", script)
			return err == nil, out, nil
		}))
	}
}

// begin starts a test from the healthy state, and brings that state back when it ends. The live audit looks on.
func begin(t *testing.T, limit time.Duration, v variant) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	t.Cleanup(func() {
		if t.Failed() {
			bed.Dump(t, beside.Site{Group: v.group})
		}
		if err := bed.Repair(context.Background()); err != nil {
			t.Errorf("repairing the lab: %v", err)
		}
	})
	must(t, bed.Cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, bed.Hosts...))
	beside.Audit(t, bed.Lab)
	return ctx
}
