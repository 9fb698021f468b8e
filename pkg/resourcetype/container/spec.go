package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cpuPeriod is the kernel's default, in microseconds.
const cpuPeriod = 100000

// specOf is the OCI specification of a plan: containerd's defaults, the image's configuration, then what the plan says.
func specOf(p *plan, image containerd.Image) ([]oci.SpecOpts, error) {
	opts := []oci.SpecOpts{
		// With arguments, an image that names no command of its own will do.
		oci.WithImageConfigArgs(image, p.command), oci.WithEnv(p.env), oci.WithCgroup(p.cgroup),
		resources(p.limits), seccomp.WithDefaultProfile(), oci.WithMounts(bindMounts(p.mounts)),
	}
	if len(p.command) > 0 {
		opts = append(opts, oci.WithProcessArgs(p.command...)) // instead of the entry point, not after it
	}
	if p.user != "" {
		opts = append(opts, asUser(p.user))
	}
	if p.hostName != "" {
		opts = append(opts, oci.WithHostname(p.hostName))
	}
	if !p.ownNetwork {
		opts = append(opts, oci.WithHostNamespace(specs.NetworkNamespace))
	}
	for file, use := range map[string]oci.SpecOpts{"/etc/hosts": oci.WithHostHostsFile, "/etc/resolv.conf": oci.WithHostResolvconf} {
		_, err := os.Stat(file)
		if err == nil {
			opts = append(opts, use)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for _, device := range p.devices {
		opts = append(opts, oci.WithDevices(device, device, "rwm"))
	}
	return opts, nil
}

// asUser has the container run as a user, and in none of the groups that the image gives its own.
func asUser(user string) oci.SpecOpts {
	return func(ctx context.Context, client oci.Client, c *containers.Container, s *oci.Spec) error {
		if err := oci.WithUser(user)(ctx, client, c, s); err != nil {
			return fmt.Errorf("container.user %q: %w; give its number, and its group's, if the image does not know the name", user, err)
		}
		return nil
	}
}

func bindMounts(all []bind) []specs.Mount {
	var mounts []specs.Mount
	for _, b := range all {
		rw := "rw"
		if b.readOnly {
			rw = "ro"
		}
		// Nothing that is mounted on the host later appears in it, and no file of a disk is a device or gives rights.
		mounts = append(mounts, specs.Mount{
			Destination: b.target, Source: b.source, Type: "bind", Options: []string{"bind", "rprivate", "nosuid", "nodev", rw},
		})
	}
	return mounts
}

// resources replaces containerd's default share of processor time, which needs a controller that the host may not have.
func resources(l limits) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		r := s.Linux.Resources
		r.CPU = nil
		if l.milliCPU > 0 {
			period, quota := uint64(cpuPeriod), l.milliCPU*cpuPeriod/1000
			r.CPU = &specs.LinuxCPU{Period: &period, Quota: &quota}
		}
		if l.memory > 0 {
			r.Memory = &specs.LinuxMemory{Limit: &l.memory}
			if swapCounted() {
				r.Memory.Swap = &l.memory
			}
		}
		if l.processes > 0 {
			r.Pids = &specs.LinuxPids{Limit: &l.processes}
		}
		return nil
	}
}

// swapCounted says whether this kernel bounds swap for control groups; to ask one that does not would be an error.
func swapCounted() bool {
	if unified() {
		_, err := os.Stat("/proc/swaps")
		return err == nil
	}
	_, err := os.Stat(cgroupMount + "/memory/memory.memsw.limit_in_bytes")
	return err == nil
}
