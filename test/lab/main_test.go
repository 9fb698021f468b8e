package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/lab/cgroup"
	"github.com/quorate/quorate/test/lab/cli"
	"github.com/quorate/quorate/test/lab/protocol"
)

// binDir holds this test's binary under the name of the lab's.
var binDir string

// TestMain makes the test's binary serve as quorate-lab, so that what is tested is what was compiled just now, and as a small web
// server for hosts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		serve(os.Args[2])
		return
	}
	if filepath.Base(os.Args[0]) == "quorate-lab" {
		os.Exit(cli.Report(os.Stderr, cli.New().Execute()))
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	self, err := os.Executable()
	if err == nil {
		binDir, err = os.MkdirTemp("", "quorate-lab-test")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(binDir)
	content, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(filepath.Join(binDir, "quorate-lab"), content, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func serve(address string) {
	host, _ := os.Hostname()
	err := http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"host":%q}`, host)
	}))
	fmt.Fprintln(os.Stderr, err)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the lab needs root")
	}
}

// start starts a lab without API server, and takes it down and looks for remains at the test's end.
func start(t *testing.T, name string, hosts int) *lab.Lab {
	t.Helper()
	needRoot(t)
	if err := lab.Down(t.Context(), name); err != nil { // what a killed test left
		t.Fatal(err)
	}
	l, err := lab.Up(t.Context(), lab.Options{Name: name, Hosts: hosts, BinDir: binDir, NoControlPlane: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		if err := l.Down(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("down took %v", took)
		}
		nothingLeft(t, name)
	})
	return l
}

// nothingLeft looks for anything that a lab of the name could leave on the machine.
func nothingLeft(t *testing.T, name string) {
	t.Helper()
	layout, err := protocol.NewLayout(name)
	if err != nil {
		t.Fatal(err)
	}
	root, err := cgroup.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{layout.Dir(), layout.Lock(), root.Sub(layout.CgroupName()).Dir()} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), layout.Dir()) {
		t.Errorf("mounts are left: %v", err)
	}
	eventually(t, 2*time.Second, func() error { // the keeper gives its lock back a moment before it ends
		if pids := processes(t, name); len(pids) > 0 {
			return fmt.Errorf("processes are left: %v", pids)
		}
		return nil
	})
	links, err := os.ReadFile("/proc/net/dev")
	if err != nil || strings.Contains(string(links), "br-hb") {
		t.Errorf("interfaces are left: %v", err)
	}
}

// processes finds the daemon and the keeper of a lab by name; dead ones that await their parent do not count.
func processes(t *testing.T, name string) map[string]int {
	t.Helper()
	found := map[string]int{}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		args := strings.Split(strings.TrimRight(string(content), "\x00"), "\x00")
		if err != nil || len(args) != 3 || args[2] != name || !strings.HasPrefix(args[1], "internal-") {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
			found[args[1]] = pid
		}
	}
	return found
}

// eventually waits until check gives no error.
func eventually(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	begin := time.Now()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Since(begin) > limit {
			t.Fatalf("still after %v: %v", limit, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, l *lab.Lab, host string, command ...string) string {
	t.Helper()
	out, err := l.Exec(t.Context(), host, command...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// reaches says whether one host reaches another's web server.
func reaches(t *testing.T, l *lab.Lab, from, address string) bool {
	t.Helper()
	_, err := l.Exec(t.Context(), from, "curl", "-s", "-g", "-m", "0.5", "-o", "/dev/null", "http://"+address+":80/")
	var exit *lab.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil
}

// startServers starts a web server on each host, on all its addresses.
func startServers(t *testing.T, l *lab.Lab, hosts ...string) {
	t.Helper()
	for _, host := range hosts {
		exec(t, l, host, "sh", "-c", "setsid quorate-lab serve :80 >/var/log/serve.log 2>&1 </dev/null &")
		eventually(t, 5*time.Second, func() error {
			_, err := l.Exec(t.Context(), host, "curl", "-s", "-o", "/dev/null", "http://127.0.0.1:80/")
			return err
		})
	}
}

func containsOnDisk(t *testing.T, l *lab.Lab, disk int, text string) bool {
	t.Helper()
	content, err := os.ReadFile(l.Backing(disk))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(content, []byte(text))
}

func hostStatus(t *testing.T, l *lab.Lab, name string) protocol.HostStatus {
	t.Helper()
	s, err := l.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := slices.IndexFunc(s.Hosts, func(h protocol.HostStatus) bool { return h.Name == name })
	if n < 0 {
		t.Fatalf("no host %s in %+v", name, s.Hosts)
	}
	return s.Hosts[n]
}

func cgroupOf(t *testing.T, layout protocol.Layout) cgroup.Group {
	t.Helper()
	root, err := cgroup.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root.Sub(layout.CgroupName())
}
