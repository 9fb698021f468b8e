package genericapplication

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/pidfd"
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
	env, err := probeEnvironment(inst, p, &r)
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

// probeEnvironment is the process's own: what came from Secrets is taken from there, since only a start is told it. Without a process those
// variables are left out.
func probeEnvironment(inst *resourcetype.Instance, p *v1alpha1.GenericApplication, r *record) ([]string, error) {
	if !slices.ContainsFunc(p.Env, func(v v1alpha1.EnvVar) bool { return v.ValueFrom != nil }) {
		return environment(inst, p)
	}
	known := map[string]string{}
	if started, err := pidfd.StartTime(r.PID); r.PID != 0 && err == nil && started == r.StartTime {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", r.PID))
		if err != nil {
			return nil, fmt.Errorf("reading the environment of the process: %w", err)
		}
		for entry := range strings.SplitSeq(string(raw), "\x00") {
			name, value, _ := strings.Cut(entry, "=")
			known[name] = value
		}
	}
	own, some := *inst, *p
	own.Variables = known
	some.Env = slices.DeleteFunc(slices.Clone(p.Env), func(v v1alpha1.EnvVar) bool {
		_, found := known[v.Name]
		return v.ValueFrom != nil && !found
	})
	return environment(&own, &some)
}
