package containertest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Daemon is a containerd of a test's own.
type Daemon struct {
	// Socket that it listens on.
	Socket string

	t      *testing.T
	config string
	log    *os.File
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Start runs a containerd until the test ends; all its containers are removed then. It needs root, and the Debian packages containerd and
// runc, which hack/setup.sh installs.
func Start(t *testing.T) *Daemon {
	t.Helper()
	if _, err := exec.LookPath("containerd"); err != nil {
		t.Fatalf("containerd is not installed: run hack/setup.sh: %v", err)
	}
	// A socket's path may have 107 characters only, and a test's directory is longer.
	state, err := os.MkdirTemp("/run", "quorate-ctd-") //nolint:usetesting // for the length, and to be on a tmpfs
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{t: t, Socket: filepath.Join(state, "containerd.sock"), config: filepath.Join(state, "config.toml")}
	if err := os.WriteFile(d.config, []byte(Config(filepath.Join(state, "root"), state)), 0o600); err != nil {
		t.Fatal(err)
	}
	if d.log, err = os.Create(filepath.Join(t.TempDir(), "containerd.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.clean(state) })
	d.Run()
	return d
}

// Run starts it again after Kill, and waits until it answers.
func (d *Daemon) Run() {
	d.t.Helper()
	d.cmd = exec.CommandContext(context.Background(), "containerd", "-c", d.config) // it outlives a test that has failed, to be cleaned up
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	d.ended = ended
	go func(cmd *exec.Cmd) {
		defer close(ended)
		_ = cmd.Wait()
	}(d.cmd)
	var last error
	for range 200 {
		if _, last = d.ctr("version"); last == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	log, _ := os.ReadFile(d.log.Name())
	d.t.Fatalf("containerd does not answer: %v\n%s", last, log)
}

// Kill kills it, as a crash does; its containers run on.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill() // it may have ended
	<-d.ended
}

// Freeze makes it answer nobody, until Thaw.
func (d *Daemon) Freeze() { _ = d.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (d *Daemon) Thaw() { _ = d.cmd.Process.Signal(syscall.SIGCONT) }

// Import brings an image into a namespace.
func (d *Daemon) Import(namespace string, image Image) {
	d.t.Helper()
	file, err := os.Create(filepath.Join(d.t.TempDir(), "image.tar"))
	if err == nil {
		_, err = image.WriteTo(file)
		_ = file.Close()
	}
	if err == nil {
		_, err = d.ctr("-n", namespace, "images", "import", file.Name())
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// Containers lists the containers of a namespace.
func (d *Daemon) Containers(namespace string) []string {
	d.t.Helper()
	out, err := d.ctr("-n", namespace, "containers", "list", "-q")
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Fields(out)
}

// Ctr runs containerd's own client.
func (d *Daemon) Ctr(args ...string) string {
	d.t.Helper()
	out, err := d.ctr(args...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

func (d *Daemon) ctr(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ctr", append([]string{"--address", d.Socket, "--connect-timeout", "1s"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		err = &failure{args: args, out: out.String(), err: err}
	}
	return out.String(), err
}

type failure struct {
	args []string
	out  string
	err  error
}

func (f *failure) Error() string {
	return "ctr " + strings.Join(f.args, " ") + ": " + f.err.Error() + ": " + f.out
}

func (f *failure) Unwrap() error { return f.err }

// clean removes what the tests have left, then the daemon and its files.
func (d *Daemon) clean(state string) {
	d.Thaw()
	select {
	case <-d.ended:
		d.Run()
	default:
	}
	for _, namespace := range strings.Fields(d.Ctr("namespaces", "list", "-q")) {
		for _, id := range d.Containers(namespace) {
			_, _ = d.ctr("-n", namespace, "tasks", "rm", "-f", id) // it may not run
			_, _ = d.ctr("-n", namespace, "containers", "rm", id)
		}
	}
	if d.t.Failed() {
		log, _ := os.ReadFile(d.log.Name())
		d.t.Logf("containerd: %s", log[max(0, len(log)-3000):])
	}
	d.Kill()
	_ = d.log.Close()
	if err := os.RemoveAll(state); err != nil {
		d.t.Error(err)
	}
}
