package genericapplication

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/pidfd"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/outlog"
)

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// start starts the process inside its cgroup, with its own session and its output in a file.
func (t *Type) start(inst *resourcetype.Instance, p *v1alpha1.GenericApplication, cg *cgroup.Cgroup) (*pidfd.Process, error) {
	env, err := environment(inst, p)
	if err != nil {
		return nil, err
	}
	if err := cg.Create(); err != nil {
		return nil, err
	}
	limit(inst, cg)
	out, err := outlog.Open(outlog.Path(inst))
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	dir, err := cg.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	argv := command(inst, p)
	cmd := &exec.Cmd{
		Path: argv[0], Args: argv, Env: env, Dir: p.WorkingDir, Stdout: out, Stderr: out,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(dir.Fd())},
	}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if err := inst.MayStart(); err != nil {
		return nil, fmt.Errorf("not starting %s: %w", p.Command[0], err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w%s", p.Command[0], err, missing(err, cmd.Dir))
	}
	// The agent is spared when memory runs out, what it starts is not. A child that has ended already needs nothing.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("0"), 0)
	// Before the child can be reaped, while its id is still its own.
	proc, err := pidfd.Open(cmd.Process.Pid)
	t.exits.watch(cmd.Process)
	if err != nil {
		return nil, fmt.Errorf("watching the process: %w", err)
	}
	return proc, nil
}

// processShare is the part of all the host's processes and threads, in percent, that one application may have: what systemd allows a
// service, too.
const processShare = 15

// limit keeps an application that forks without end from taking the host with it. It runs without where that cannot be had.
func limit(inst *resourcetype.Instance, cg *cgroup.Cgroup) {
	most, err := cgroup.ProcessShare(processShare)
	if err == nil {
		_, err = cg.LimitProcesses(most)
	}
	if err != nil {
		inst.Log.Info("The application's processes are not limited", "resource", inst.Resource.String(), "reason", err.Error())
	}
}

// virtualServer makes a process see the network name as its host's, and a /tmp and /run of its own. It is run by the shell inside
// new mount and UTS namespaces, and becomes the command: $0 is the network name.
const virtualServer = `mount -t tmpfs -o mode=1777 tmpfs /tmp && mount -t tmpfs -o mode=0755 tmpfs /run && ` +
	`printf %s "$0" > /proc/sys/kernel/hostname && exec "$@"`

func command(inst *resourcetype.Instance, p *v1alpha1.GenericApplication) []string {
	if !p.UseNetworkName || inst.NetworkName == "" {
		return p.Command
	}
	return append([]string{
		"/usr/bin/unshare", "--mount", "--uts", "--propagation", "slave", "--", "/bin/sh", "-c", virtualServer, inst.NetworkName,
	}, p.Command...)
}

// enter runs a command in the directory that is $0, as it is seen from inside.
const enter = `cd "$0" && exec "$@"`

// inVirtualServer is a command that runs where the main process is: it sees the same host name, /tmp and /run.
func inVirtualServer(inst *resourcetype.Instance, p *v1alpha1.GenericApplication, r *record, argv []string) ([]string, error) {
	if !p.UseNetworkName || inst.NetworkName == "" {
		return argv, nil
	}
	if started, err := pidfd.StartTime(r.PID); r.PID == 0 || err != nil || started != r.StartTime {
		return nil, errors.New("the process whose environment it needs is not there")
	}
	dir := p.WorkingDir
	if dir == "" {
		dir = "/"
	}
	return append([]string{
		"/usr/bin/nsenter", "--target", strconv.Itoa(r.PID), "--mount", "--uts", "--", "/bin/sh", "-c", enter, dir,
	}, argv...), nil
}

// environment is what the process sees of the cluster, then what the spec adds. Nothing is inherited from the agent.
func environment(inst *resourcetype.Instance, p *v1alpha1.GenericApplication) ([]string, error) {
	env, err := inst.EnvironmentWith(p.Env)
	return append([]string{defaultPath}, env...), err
}

// interface guards.
var (
	_ resourcetype.Type      = (*Type)(nil)
	_ resourcetype.AllSeeing = (*Type)(nil)
	_ resourcetype.Checker   = (*Type)(nil)
)
