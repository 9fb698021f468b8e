package nodeagent

import (
	"context"
	"os"
	"os/exec"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/addressguard"
	"github.com/quorate/quorate/pkg/resourcehost"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/container"
	"github.com/quorate/quorate/pkg/resourcetype/genericapplication"
	"github.com/quorate/quorate/pkg/resourcetype/genericservice"
	"github.com/quorate/quorate/pkg/resourcetype/ipaddress"
	"github.com/quorate/quorate/pkg/resourcetype/loopbackdisk"
	"github.com/quorate/quorate/pkg/resourcetype/networkname"
	"github.com/quorate/quorate/pkg/resourcetype/ocf"
	"github.com/quorate/quorate/pkg/resourcetype/physicaldisk"
)

// Types are all resource types of this agent, the same for the agent and its guardian. containerd is the socket of the host's containerd.
func Types(guard addressguard.Guard, containerd string) *resourcetype.Registry {
	r := resourcetype.NewRegistry()
	r.Register(string(v1alpha1.TypePhysicalDisk), physicaldisk.New())
	r.Register(string(v1alpha1.TypeLoopbackDisk), loopbackdisk.New())
	r.Register(string(v1alpha1.TypeIPAddress), ipaddress.New(guard))
	r.Register(networkname.Name, networkname.New())
	r.Register(string(v1alpha1.TypeGenericApplication), genericapplication.New())
	r.Register(string(v1alpha1.TypeGenericService), genericservice.New())
	r.Register(string(v1alpha1.TypeOCF), ocf.New())
	r.Register(string(v1alpha1.TypeContainer), container.New(containerd))
	return r
}

// monitorHosts are the processes of resources that have one of their own: this binary again.
func monitorHosts(runDir, cgroupRoot, containerd string, log logr.Logger) *resourcehost.Hosts {
	return resourcehost.New(func() *exec.Cmd {
		// Its life is bound to this process's, by the kernel.
		cmd := exec.CommandContext(context.Background(), "/proc/self/exe", "monitor", "--run-dir", runDir, "--cgroup-root", cgroupRoot,
			"--containerd-socket", containerd)
		cmd.Args[0] = "quorate-agent" // as it is called; the file is this very version, whatever was installed since
		cmd.Dir, cmd.Stderr = "/", os.Stderr
		return cmd
	}, log)
}

// Guard returns the kernel's address guard. On a host whose kernel cannot guard addresses it returns one that does nothing, and the
// reason: the host then says so, and others wait longer for what it owned (rule O13).
func Guard(ctx context.Context, now func() time.Duration, log logr.Logger) (addressguard.Guard, error) {
	kernel, err := addressguard.New(ctx)
	if err != nil {
		log.Error(err, "This kernel does not guard addresses")
		return addressguard.NewFake(now), err
	}
	return kernel, nil
}
