package ocf

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// apartVariable says that a test runs in namespaces of its own.
const apartVariable = "QUORATE_TEST_APART"

// apart runs the calling test once more in a process with mounts, networks and process numbers of its own, where real agents may mount and
// add addresses without touching the machine, and of which nothing is left. It returns true there.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(apartVariable) != "" {
		command(t, "ip", "link", "set", "lo", "up")
		return true
	}
	// The shell is the first process there: it puts away those whose parents have ended, as a host's init does.
	const first = `mount --make-rprivate / && mount -t proc proc /proc && "$@"; exit $?`
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", first, "sh", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), apartVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in namespaces of its own: %v\n%s", err, out)
	}
	return false
}

func command(t *testing.T, words ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(words, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// bounded is what a resource of these has altogether: some agents wait for ever.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// life takes a resource online, has something break it behind the cluster's back, which must be noticed, brings it online once more as a
// restart does, and takes it offline. there says whether what the agent manages is there.
func life(t *testing.T, ctx context.Context, inst *resourcetype.Instance, there func() error, broken func(), want string) {
	t.Helper()
	typ := New()
	if found := typ.Check(ctx, inst.Spec); len(found) > 0 {
		t.Fatalf("Check() = %+v", found)
	}
	if there() == nil {
		t.Fatal("it is there before it was started")
	}
	must(t, typ.Online(ctx, inst))
	must(t, there())
	must(t, typ.LooksAlive(ctx, inst))
	must(t, New().Adopt(ctx, inst))
	must(t, there())
	broken()
	time.Sleep(50 * time.Millisecond) // until a process that was killed is no longer in the process table
	if err := typ.IsAlive(ctx, inst); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("what is broken is alive: IsAlive() = %v, want %q", err, want)
	}
	must(t, typ.Terminate(ctx, inst))
	nothing := func(when string) {
		t.Helper()
		if there() == nil {
			t.Errorf("it is there after %s", when)
		}
		noCgroup(t, inst)
	}
	nothing("Terminate")
	must(t, typ.Online(ctx, inst))
	must(t, there())
	must(t, typ.Offline(ctx, inst))
	nothing("Offline")
	must(t, typ.Online(ctx, inst))
	must(t, New().Terminate(ctx, inst)) // a guardian's, which has nothing but the record
	nothing("Terminate of what is well")
}

// TestApache: a web server that makes a daemon of itself.
func TestApache(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	ctx, dir := bounded(t), t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("hello"), 0o644))
	config := filepath.Join(dir, "apache.conf")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule status_module /usr/lib/apache2/modules/mod_status.so
ServerName localhost
Listen 127.0.0.1:80
User www-data
Group www-data
DefaultRuntimeDir %[1]s
PidFile %[1]s/apache.pid
ErrorLog %[1]s/error.log
DocumentRoot %[1]s
<Location /server-status>
SetHandler server-status
</Location>
`, dir), 0o644))
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	there := func() error {
		answer, err := client.Get("http://127.0.0.1/index.html")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", answer.Status)
		}
		return nil
	}
	inst := instance(t, "heartbeat", "apache", "configfile="+config, "httpd=/usr/sbin/apache2", "statusurl=http://127.0.0.1/server-status")
	kill := func() { must(t, unix.Kill(pidIn(t, filepath.Join(dir, "apache.pid")), unix.SIGKILL)) }
	life(t, ctx, inst, there, kill, "not running")

	// The end of the server is seen at once, and a port that is in use is told.
	typ := New()
	must(t, typ.Online(ctx, inst))
	failed, err := typ.Watch(ctx, inst)
	must(t, err)
	kill()
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "not running") {
			t.Errorf("Watch() = %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the end of the server was not seen")
	}
	must(t, typ.Terminate(ctx, inst))
	taken, err := net.Listen("tcp", "127.0.0.1:80")
	must(t, err)
	defer taken.Close()
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := typ.Online(short, inst); err == nil || !strings.Contains(err.Error(), "could not bind to address 127.0.0.1:80") {
		t.Errorf("Online() on a port that is in use = %v", err)
	}
	noCgroup(t, inst)
}

// TestFilesystem: what is mounted is no process, and only the agent can put it away.
func TestFilesystem(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	ctx, dir := bounded(t), t.TempDir()
	image, point := filepath.Join(dir, "image"), filepath.Join(dir, "point")
	must(t, os.Mkdir(point, 0o755))
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 16<<20))
	command(t, "mkfs.ext4", "-q", "-F", image)
	device := command(t, "losetup", "--find", "--show", image)
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	there := func() error {
		raw, err := os.ReadFile("/proc/self/mounts")
		if err == nil && !strings.Contains(string(raw), device+" "+point+" ext4") {
			err = fmt.Errorf("%s is not mounted", device)
		}
		return err
	}
	inst := instance(t, "heartbeat", "Filesystem", "device="+device, "directory="+point, "fstype=ext4", "fast_stop=no")
	life(t, ctx, inst, there, func() { must(t, unix.Unmount(point, 0)) }, "not running")

	// A process that has a file open ends with the mount.
	must(t, New().Online(ctx, inst))
	user := exec.CommandContext(ctx, "/bin/sleep", "1000")
	user.Dir = point
	must(t, user.Start())
	ended := make(chan error, 1)
	go func() { ended <- user.Wait() }()
	must(t, New().Offline(ctx, inst))
	if there() == nil {
		t.Error("it is mounted after Offline")
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("who used the mount is still there")
	}

	inst = instance(t, "heartbeat", "Filesystem", "device="+dir+"/nothing", "directory="+point, "fstype=ext4")
	if err := New().Online(ctx, inst); err == nil || !strings.Contains(err.Error(), dir+"/nothing") {
		t.Errorf("Online() of a device that is not there = %v", err)
	}
	noCgroup(t, inst)
}

// TestIPaddr2: an address that the agent adds and announces.
func TestIPaddr2(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	const address = "192.0.2.10"
	ctx := bounded(t)
	command(t, "ip", "tuntap", "add", "dev", "lan0", "mode", "tap")
	command(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "lan0")
	command(t, "ip", "link", "set", "lan0", "up")
	there := func() error {
		if out := command(t, "ip", "-o", "addr", "show", "dev", "lan0"); !strings.Contains(out, address+"/24") {
			return fmt.Errorf("lan0 has no %s: %s", address, out)
		}
		return nil
	}
	inst := instance(t, "heartbeat", "IPaddr2", "ip="+address, "cidr_netmask=24", "nic=lan0", "arp_count=1")
	life(t, ctx, inst, there, func() { command(t, "ip", "addr", "del", address+"/24", "dev", "lan0") }, "not running")

	inst = instance(t, "heartbeat", "IPaddr2", "ip="+address, "cidr_netmask=24", "nic=lan9")
	if err := New().Online(ctx, inst); err == nil || !strings.Contains(err.Error(), "findif") {
		t.Errorf("Online() on an interface that is not there = %v", err)
	}
	noCgroup(t, inst)
	inst = instance(t, "heartbeat", "IPaddr2", "ip="+address, "cidr_netmask=77", "nic=lan0")
	if err := New().Online(ctx, inst); err == nil {
		t.Error("Online() with a netmask of 77 bits")
	}
	if out := command(t, "ip", "-o", "addr"); strings.Contains(out, address) {
		t.Errorf("the address is left: %s", out)
	}
}

// TestReaped: an agent is not asked about a process that has ended before it is out of the process table.
func TestReaped(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "1000")
	must(t, cmd.Start())
	must(t, cmd.Process.Kill())
	done := make(chan struct{})
	go func() {
		defer close(done)
		reaped(t.Context(), cmd.Process.Pid)
	}()
	select {
	case <-done:
		t.Error("a process that waits to be put away counts as gone")
	case <-time.After(100 * time.Millisecond):
	}
	_ = cmd.Wait() // it was killed
	select {
	case <-done:
	case <-time.After(reapTime / 2):
		t.Error("a process that is gone was not seen to be")
	}
}
