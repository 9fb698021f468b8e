package genericapplication

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/probing"
)

// readiness is the check that a process must pass to count as online.
func readiness(h *v1alpha1.Health) *v1alpha1.Probe {
	if h == nil {
		return nil
	}
	return probing.Readiness(h.LooksAlive, h.IsAlive)
}

// probe runs one check; nil means healthy.
func (t *Type) probe(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.GenericApplication, probe *v1alpha1.Probe) error {
	return probing.Run(ctx, probe, probing.Host, func(ctx context.Context, e *v1alpha1.ExecProbe) error { return probeExec(ctx, inst, p, e) })
}

// probeExec runs a command in the application's cgroup, so that it ends with it.
func probeExec(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.GenericApplication, probe *v1alpha1.ExecProbe) error {
	cg, r, err := cgroupOf(inst)
	if err != nil {
		return err
	}
	argv, err := inVirtualServer(inst, p, &r, probe.Command)
	if err != nil {
		return fmt.Errorf("health check %s: %w", probe.Command[0], err)
	}
	dir, err := cg.Open()
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	env, err := environment(inst, p)
	if err != nil {
		return err
	}
	var output probing.Output
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = env, p.WorkingDir, &output, &output
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// Descendants that keep the output open do not hold the check up.
	cmd.WaitDelay = 100 * time.Millisecond
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("health check %s: %w: %s", probe.Command[0], err, output.String())
	}
	return nil
}
