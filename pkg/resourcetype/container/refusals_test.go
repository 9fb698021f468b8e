package container

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
)

func TestBadInput(t *testing.T) {
	r := newRig(t)
	if err := os.Symlink("/etc", r.disk+"/escape"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.disk+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mount := func(m v1alpha1.ContainerMount) func(*v1alpha1.Container) {
		return func(p *v1alpha1.Container) { p.Mounts = []v1alpha1.ContainerMount{m} }
	}
	cases := map[string]struct {
		change func(*v1alpha1.Container)
		spoil  func(*resourcetype.Instance)
		want   []string
	}{
		"no image": {change: func(p *v1alpha1.Container) { p.Image = "quorate.test/none:1" }, want: []string{"quorate.test/none:1", "ctr -n quorate images import FILE"}},
		"no registry": {change: func(p *v1alpha1.Container) {
			p.Image, p.PullPolicy = "127.0.0.1:9/none:1", v1alpha1.ContainerPullIfNotPresent
		}, want: []string{"fetching the image 127.0.0.1:9/none:1", "ctr -n quorate images import FILE"}},
		"bad image":       {change: func(p *v1alpha1.Container) { p.Image = "A B" }, want: []string{`container.image "A B"`}},
		"no such command": {change: func(p *v1alpha1.Container) { p.Command = []string{"/no/such"} }, want: []string{"/no/such", "no such file"}},
		"ends at once":    {change: script("echo broken; exit 3"), want: []string{"exited with status 3", "broken"}},
		"never ready": {change: func(p *v1alpha1.Container) {
			p.LooksAlive = &v1alpha1.Probe{TCP: &v1alpha1.TCPProbe{Port: 9}}
		}, want: []string{"not ready", "health check"}},
		"link":           {change: mount(v1alpha1.ContainerMount{Disk: "shop-disk", SubPath: "escape", Path: "/data"}), want: []string{"/disk/escape", "symbolic link"}},
		"below a link":   {change: mount(v1alpha1.ContainerMount{Disk: "shop-disk", SubPath: "escape/x", Path: "/data"}), want: []string{"symbolic link"}},
		"climbs":         {change: mount(v1alpha1.ContainerMount{Disk: "shop-disk", SubPath: "../x", Path: "/data"}), want: []string{"symbolic link"}},
		"file":           {change: mount(v1alpha1.ContainerMount{Disk: "shop-disk", SubPath: "file", Path: "/data"}), want: []string{"/disk/file is not a directory"}},
		"unknown disk":   {change: mount(v1alpha1.ContainerMount{Disk: "other", Path: "/data"}), want: []string{`no disk Resource "other"`}},
		"not mounted":    {spoil: func(i *resourcetype.Instance) { i.Disks = map[string]string{"shop-disk": t.TempDir()} }, want: []string{"is not mounted on"}},
		"link in a path": {change: mount(v1alpha1.ContainerMount{HostPath: r.disk + "/escape", Path: "/data"}), want: []string{"symbolic link"}},
		"unknown device": {change: func(p *v1alpha1.Container) { p.Devices = []string{"/dev/none-such"} }, want: []string{"/dev/none-such"}},
		"may not act":    {spoil: func(i *resourcetype.Instance) { i.MayAct = func() error { return errors.New("no lease") } }, want: []string{"no lease"}},
		"unknown signal": {change: func(p *v1alpha1.Container) { p.Stop = &v1alpha1.Stop{Signal: "SIGFOO"} }, want: []string{"container.stop.signal", "SIGFOO"}},
		"no such bridge": {change: func(p *v1alpha1.Container) {
			p.Network, p.Address, p.Bridge = v1alpha1.ContainerNetworkBridged, "192.0.2.7/24", "qnone"
		}, want: []string{"container.bridge", "qnone"}},
		"no bridge there": {change: func(p *v1alpha1.Container) { p.Network, p.Address = v1alpha1.ContainerNetworkBridged, "192.0.2.7/24" }, want: []string{"no bridge of this host", "192.0.2.7/24"}},
	}
	typ := New(r.Socket)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inst := r.instance("bad", c.change)
			if c.spoil != nil {
				c.spoil(inst)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := typ.Online(ctx, inst)
			if err == nil {
				t.Fatal("it went online")
			}
			t.Log(err)
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q", want)
				}
			}
			r.nothingLeft(inst)
		})
	}
	t.Run("foreign", func(t *testing.T) {
		inst := r.instance("bad", nil)
		r.Ctr("-n", Namespace, "containers", "create", box, id(inst))
		defer r.Ctr("-n", Namespace, "containers", "rm", id(inst))
		err := typ.Online(t.Context(), inst)
		if !errors.Is(err, errForeign) || !strings.Contains(err.Error(), "containers rm "+id(inst)) {
			t.Errorf("Online() = %v", err)
		}
		if got := r.Containers(Namespace); !slices.Equal(got, []string{id(inst)}) {
			t.Errorf("the other's container was touched: %v", got)
		}
	})
	t.Run("no containerd", func(t *testing.T) {
		err := New("/run/no-such.sock").Online(t.Context(), r.instance("bad", nil))
		if err == nil || !strings.Contains(err.Error(), "/run/no-such.sock") || !strings.Contains(err.Error(), "--containerd-socket") {
			t.Errorf("Online() = %v", err)
		}
	})
}

// TestReplacedMount: a directory that is replaced between the look at it and the start is not given to the container.
func TestReplacedMount(t *testing.T) {
	r := newRig(t)
	if err := errors.Join(os.Mkdir(r.disk+"/x", 0o755), os.Mkdir(r.disk+"/secret", 0o755)); err != nil {
		t.Fatal(err)
	}
	inst := r.instance("swap", func(p *v1alpha1.Container) {
		p.Mounts = []v1alpha1.ContainerMount{{Disk: "shop-disk", SubPath: "x", Path: "/data"}}
		script("touch /data/was-here; busybox sleep 1000")(p)
	})
	// The last look at the lease before the container is made comes after the directories were found.
	inst.MayAct = func() error {
		_ = os.Remove(r.disk + "/x")
		return os.Symlink("secret", r.disk+"/x")
	}
	err := New(r.Socket).Online(t.Context(), inst)
	if err == nil || !strings.Contains(err.Error(), "something has replaced it") {
		t.Errorf("Online() = %v", err)
	}
	if _, err := os.Stat(r.disk + "/secret/was-here"); err == nil {
		t.Error("the container ran with another directory")
	}
	r.nothingLeft(inst)
}
