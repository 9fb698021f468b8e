package container

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/container/containertest"
)

const box = "quorate.test/box:1"

// rig is a host with a containerd, and a disk that is mounted.
type rig struct {
	*containertest.Daemon
	t          *testing.T
	disk       string
	cgroupRoot string
	runDir     string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	d := containertest.Start(t)
	d.Import(Namespace, containertest.Box(box))
	r := &rig{Daemon: d, t: t, disk: filepath.Join(t.TempDir(), "disk"), cgroupRoot: cgrouptest.Root(t), runDir: t.TempDir()}
	if err := os.Mkdir(r.disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", r.disk, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The runtime makes those of version 1 beside the test's own, and removes only what is its container's.
		made, _ := filepath.Glob(filepath.Join(cgroupMount, "*", filepath.Base(r.cgroupRoot)))
		for _, dir := range made {
			if filepath.Dir(dir) != filepath.Dir(r.cgroupRoot) {
				_ = os.Remove(dir)
			}
		}
	})
	// While anything uses it, it cannot be taken away: that is how a stop that leaves something would show.
	t.Cleanup(func() {
		if err := unix.Unmount(r.disk, 0); err != nil {
			t.Errorf("the disk is still in use: %v", err)
			_ = unix.Unmount(r.disk, unix.MNT_DETACH)
		}
	})
	return r
}

// instance of a container that runs a shell script with the disk on /data.
func (r *rig) instance(name string, change func(*v1alpha1.Container)) *resourcetype.Instance {
	r.t.Helper()
	p := &v1alpha1.Container{
		Image: box, PullPolicy: v1alpha1.ContainerPullNever, Command: []string{"/bin/busybox", "sleep", "1000"},
		Mounts: []v1alpha1.ContainerMount{{Disk: "shop-disk", Path: "/data", SubPath: "a/b"}},
	}
	if change != nil {
		change(p)
	}
	return r.with(name, p)
}

func (r *rig) with(name string, p *v1alpha1.Container) *resourcetype.Instance {
	r.t.Helper()
	spec, err := json.Marshal(v1alpha1.ResourceSpec{GroupName: "shop", Type: v1alpha1.TypeContainer, ResourceParameters: v1alpha1.ResourceParameters{Container: p}})
	if err != nil {
		r.t.Fatal(err)
	}
	inst := &resourcetype.Instance{
		Type: Name, Resource: resourcetype.Identity{UID: "0c1f5f4e-57a4-4f1c-8b30-" + name, Namespace: "demo", Name: name},
		Group: resourcetype.Identity{UID: "g", Namespace: "demo", Name: "shop"}, Cluster: "demo", ClusterID: "00112233445566aa", NodeName: "a",
		Spec: spec, Disks: map[string]string{"shop-disk": r.disk}, CgroupRoot: r.cgroupRoot, RunDir: r.runDir, Log: testr.New(r.t),
	}
	inst.SaveData = func(v any) error {
		raw, err := json.Marshal(v)
		inst.Data = raw
		return err
	}
	return inst
}

// online starts an instance, and ends it with the test.
func (r *rig) online(typ *Type, inst *resourcetype.Instance) {
	r.t.Helper()
	r.t.Cleanup(func() {
		if err := typ.Terminate(context.Background(), inst); err != nil {
			r.t.Error(err)
		}
	})
	begin := time.Now()
	if err := typ.Online(r.t.Context(), inst); err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("online after %v", time.Since(begin))
}

func script(text string) func(*v1alpha1.Container) {
	return func(p *v1alpha1.Container) { p.Command = []string{"/bin/sh", "-c", text} }
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// eventually waits until what says that it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 500 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// nothingLeft wants no process, control group or container.
func (r *rig) nothingLeft(inst *resourcetype.Instance) {
	r.t.Helper()
	rec, cg, err := recorded(inst)
	if err != nil {
		r.t.Fatal(err)
	}
	if proc, err := hold(rec); err == nil {
		if !proc.Ended() {
			r.t.Errorf("process %d still runs", rec.PID)
		}
		proc.Close()
	}
	if _, err := os.Stat(cg.Path()); !errors.Is(err, os.ErrNotExist) {
		r.t.Errorf("the cgroup is still there: %v", err)
	}
	if left := r.Containers(Namespace); len(left) > 0 {
		r.t.Errorf("containerd still has %v", left)
	}
}

func TestLife(t *testing.T) {
	r := newRig(t)
	typ := New(r.Socket)
	inst := r.instance("life", func(p *v1alpha1.Container) {
		script(`trap 'echo stopped >/data/end; exit 0' USR1; env >/data/env; hostname >/data/name; echo hello; while :; do date +%s%N >/data/new; busybox mv /data/new /data/now; busybox sleep 0.02; done`)(p)
		p.Env = []v1alpha1.EnvVar{{Name: "COLOUR", Value: "blue"}}
		p.Stop = &v1alpha1.Stop{Signal: "SIGUSR1"}
		p.IsAlive = &v1alpha1.Probe{Exec: &v1alpha1.ExecProbe{Command: []string{"/bin/sh", "-c", "test -s /data/now"}}}
		p.UseNetworkName = true
	})
	inst.NetworkName = "shop-name"
	if problems := typ.Check(t.Context(), inst.Spec); len(problems) > 0 {
		t.Errorf("Check() = %v", problems)
	}
	r.online(typ, inst)
	rec, cg, err := recorded(inst)
	if err != nil {
		t.Fatal(err)
	}
	if in, err := cg.Has(rec.PID); err != nil || !in || !strings.HasPrefix(cg.Path(), r.cgroupRoot+"/") {
		t.Errorf("process %d is not in %s below %s (%v)", rec.PID, cg.Path(), r.cgroupRoot, err)
	}
	env := strings.Split(read(t, r.disk+"/a/b/env"), "\n")
	for _, want := range []string{"COLOUR=blue", "QUORATE_GROUP=shop", "QUORATE_NODE=a", "PATH=/bin"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not in the environment %v", want, env)
		}
	}
	if name := read(t, r.disk+"/a/b/name"); name != "shop-name" {
		t.Errorf("the host name is %q", name)
	}
	eventually(t, "its output is in the log", func() bool { return strings.Contains(read(t, filepath.Join(r.runDir, "logs/demo.life.log")), "hello") })

	// Another agent takes over, and the container does not notice.
	next := New(r.Socket)
	if err := next.Adopt(t.Context(), inst); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(next.LooksAlive(t.Context(), inst), next.IsAlive(t.Context(), inst)); err != nil {
		t.Error(err)
	}
	if err := next.Offline(t.Context(), inst); err != nil {
		t.Fatal(err)
	}
	if end := read(t, r.disk+"/a/b/end"); end != "stopped" {
		t.Errorf("it was not stopped gracefully: %q", end)
	}
	r.nothingLeft(inst)
	if err := next.Adopt(t.Context(), inst); err == nil {
		t.Error("a container that does not run was adopted")
	}
}

// TestUser: the container runs as the user of its spec, in no group of another one, and writes only what that user may.
func TestUser(t *testing.T) {
	r := newRig(t)
	if err := errors.Join(os.MkdirAll(r.disk+"/a/b", 0o700), os.Chown(r.disk+"/a/b", 999, 998)); err != nil {
		t.Fatal(err)
	}
	typ := New(r.Socket)
	inst := r.instance("user", func(p *v1alpha1.Container) {
		script(`busybox id -u >/data/who; busybox id -g >>/data/who; busybox id -G >>/data/who; echo >/etc/mine || echo refused >>/data/who; exec busybox sleep 1000`)(p)
		p.User, p.Stop = "999:998", &v1alpha1.Stop{Signal: "SIGKILL"}
		p.IsAlive = &v1alpha1.Probe{Exec: &v1alpha1.ExecProbe{Command: []string{"/bin/sh", "-c", "test $(busybox id -u) = 999 -a -s /data/who"}}}
	})
	r.online(typ, inst)
	eventually(t, "it has told all", func() bool { return read(t, r.disk+"/a/b/who") == "999\n998\n998\nrefused" })
	nobody := r.instance("nobody", func(p *v1alpha1.Container) { p.User = "postgres" })
	if err := typ.Online(t.Context(), nobody); err == nil || !strings.Contains(err.Error(), `container.user "postgres"`) {
		t.Errorf("a user that the image does not know: %v", err)
	}
	if err := typ.Offline(t.Context(), inst); err != nil {
		t.Fatal(err)
	}
	r.nothingLeft(inst)
}

// TestContainerdDies: what runs goes on, is watched, and can be stopped by force without containerd, which knows no more of it afterwards.
func TestContainerdDies(t *testing.T) {
	r := newRig(t)
	typ := New(r.Socket)
	inst := r.instance("orphan", func(p *v1alpha1.Container) {
		script(`i=0; while :; do i=$((i+1)); echo $i >/data/new; busybox mv /data/new /data/count; busybox sleep 0.01; done`)(p)
		p.Stop = &v1alpha1.Stop{Timeout: &metav1.Duration{Duration: 100 * time.Millisecond}} // it heeds no signal
		p.IsAlive = &v1alpha1.Probe{Exec: &v1alpha1.ExecProbe{Command: []string{"/bin/busybox", "test", "-s", "/data/count"}}}
	})
	r.online(typ, inst)
	count := func() int {
		n, _ := strconv.Atoi(read(t, r.disk+"/a/b/count")) // it may be read while it is cut
		return n
	}
	watch, err := typ.Watch(t.Context(), inst)
	if err != nil {
		t.Fatal(err)
	}
	r.Kill()
	before := count()
	if err := errors.Join(typ.LooksAlive(t.Context(), inst), typ.IsAlive(t.Context(), inst), New(r.Socket).Adopt(t.Context(), inst)); err != nil {
		t.Errorf("a dead containerd fails what runs: %v", err)
	}
	problems := typ.Check(t.Context(), inst.Spec)
	if len(problems) != 1 || problems[0].Reason != v1alpha1.ProblemContainerd || !strings.Contains(problems[0].Message, r.Socket) {
		t.Errorf("Check() = %v", problems)
	}
	eventually(t, "it counts on", func() bool { return count() > before })
	r.Run()
	eventually(t, "containerd is reached again", func() bool { return typ.Check(t.Context(), inst.Spec) == nil })
	if err := typ.IsAlive(t.Context(), inst); err != nil {
		t.Errorf("after containerd's restart: %v", err)
	}
	r.Kill()
	begin := time.Now()
	if err := typ.Terminate(t.Context(), inst); err != nil {
		t.Fatal(err)
	}
	t.Logf("killed without containerd in %v", time.Since(begin))
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Errorf("killing without containerd took %v", took)
	}
	if err := <-watch; err == nil {
		t.Error("the watcher saw no end")
	}
	after := read(t, r.disk+"/a/b/count")
	time.Sleep(50 * time.Millisecond)
	if now := read(t, r.disk+"/a/b/count"); now != after {
		t.Errorf("it still writes: %s, then %s", after, now)
	}
	r.Run()
	if err := typ.Online(t.Context(), inst); err != nil {
		t.Fatalf("starting again: %v", err)
	}
	if err := typ.Offline(t.Context(), inst); err != nil {
		t.Fatal(err)
	}
	r.nothingLeft(inst)
}

// TestContainerdHangs: a force stop does not wait for it.
func TestContainerdHangs(t *testing.T) {
	r := newRig(t)
	typ := New(r.Socket)
	inst := r.instance("hung", nil)
	r.online(typ, inst)
	r.Freeze()
	begin := time.Now()
	if err := typ.Terminate(t.Context(), inst); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Errorf("killing beside a hung containerd took %v", took)
	}
	r.Thaw()
	if err := typ.Terminate(t.Context(), inst); err != nil {
		t.Fatal(err)
	}
	eventually(t, "containerd has forgotten it", func() bool {
		_ = typ.Terminate(t.Context(), inst)
		return len(r.Containers(Namespace)) == 0
	})
	r.nothingLeft(inst)
}

// TestKilledGroup: whoever kills the control group, as the guardian does, ends the container with all that it has started.
func TestKilledGroup(t *testing.T) {
	r := newRig(t)
	typ := New(r.Socket)
	inst := r.instance("tree", script(`(busybox setsid busybox sleep 1000 &); trap '' TERM INT; while :; do busybox sleep 1000; done`))
	r.online(typ, inst)
	rec, cg, err := recorded(inst)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "three processes", func() bool {
		pids, err := cg.Processes()
		return err == nil && len(pids) >= 3
	})
	watch, err := typ.Watch(t.Context(), inst)
	if err != nil {
		t.Fatal(err)
	}
	if err := cgroup.At(cg.Path()).Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	err = <-watch
	if err == nil || !strings.Contains(err.Error(), "SIGKILL") || time.Since(begin) > time.Second {
		t.Errorf("the watcher said %v after %v", err, time.Since(begin))
	}
	if typ.LooksAlive(t.Context(), inst) == nil {
		t.Error("it looks alive")
	}
	if proc, err := hold(rec); err == nil {
		if !proc.Ended() {
			t.Error("its first process runs")
		}
		proc.Close()
	}
}

// TestLimits: a container that wants more memory than it may have is ended, and its host keeps going.
func TestLimits(t *testing.T) {
	r := newRig(t)
	inst := r.instance("fat", func(p *v1alpha1.Container) {
		memory, processes := resource.MustParse("16Mi"), int64(20)
		p.Limits = &v1alpha1.ContainerLimits{Memory: &memory, Processes: &processes}
		script("while ! [ -e /data/go ]; do busybox sleep 0.02; done; exec busybox dd if=/dev/zero of=/dev/null bs=64M")(p)
	})
	typ := New(r.Socket)
	r.online(typ, inst)
	watch, err := typ.Watch(t.Context(), inst)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.disk+"/a/b/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-watch:
		if err == nil || !strings.Contains(err.Error(), "SIGKILL") {
			t.Errorf("it ended otherwise: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it was not ended")
	}
}

// TestTidied: what a reboot has left in containerd goes, and what runs stays.
func TestTidied(t *testing.T) {
	r := newRig(t)
	typ := New(r.Socket)
	gone, stays := r.instance("gone", nil), r.instance("stays", nil)
	r.online(typ, gone)
	r.online(typ, stays)
	_, cg, err := recorded(gone)
	if err != nil {
		t.Fatal(err)
	}
	if err := cg.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dead container is seen", func() bool {
		dead, err := typ.engine.Dead(t.Context(), 0)
		return err == nil && dead[id(gone)] == gone.Resource.UID && len(dead) == 1
	})
	if dead, err := typ.engine.Dead(t.Context(), time.Hour); err != nil || len(dead) != 0 {
		t.Errorf("what is young counts as left behind: %v, %v", dead, err)
	}
	release := typ.hold(id(gone))
	if err := typ.tidyOlder(t.Context(), 0); err != nil || len(r.Containers(Namespace)) != 2 {
		t.Errorf("what is being worked on was removed: %v, %v", r.Containers(Namespace), err)
	}
	release()
	if err := typ.tidyOlder(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := r.Containers(Namespace); !slices.Equal(got, []string{id(stays)}) {
		t.Errorf("left: %v", got)
	}
}
