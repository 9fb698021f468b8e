package ocf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stateDir is where agents keep their own notes (HA_RSCTMP). The package's tmpfiles.d makes it at boot, if systemd runs.
const stateDir = "/run/resource-agents"

// metadataTimeout bounds the action meta-data: an agent that does not answer is of no use.
const metadataTimeout = 10 * time.Second

// Call is one action of an agent.
type Call struct {
	Agent  Agent
	Action string
	// Instance is the resource's name as the agent sees it.
	Instance   string
	Parameters map[string]string
	// Timeout is told to the agent (OCF_RESKEY_CRM_meta_timeout); it does not end the call, the context does. 0 tells nothing.
	Timeout time.Duration
	// Env is added to what the agent sees.
	Env []string
	// Cgroup is the open directory of the control group for the action and all that it starts; nil for the caller's.
	Cgroup *os.File
	// Output gets what the agent and all that it starts print. It is a file, so that a daemon may keep it.
	Output *os.File
}

// Run carries an action out and waits for its end. A code that says that it did not succeed is a *Error; so is, for monitor, that it is not
// running. At the end of ctx the action's processes are killed; what they had started into sessions of their own is the caller's to end.
func (c *Call) Run(ctx context.Context) error {
	if err := os.MkdirAll(stateDir, 0o1755); err != nil {
		return fmt.Errorf("making the directory in which OCF agents keep notes: %w", err)
	}
	from := size(c.Output)
	attr := &syscall.SysProcAttr{Setsid: true}
	if c.Cgroup != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(c.Cgroup.Fd())
	}
	cmd := c.command(attr)
	if c.Output != nil {
		cmd.Stdout, cmd.Stderr = c.Output, c.Output
	}
	killed, err := runGroup(ctx, cmd)
	if killed {
		return c.late(ctx, from)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if !exit.Exited() {
			return fmt.Errorf("%s %s was ended by a signal: %w%s", c.Agent, c.Action, exit, after(c.output(from)))
		}
		return &Error{Agent: c.Agent, Action: c.Action, Code: Code(exit.ExitCode()), Reason: reasonOf(c.output(from))}
	}
	if err != nil {
		return fmt.Errorf("running %s %s: %w", c.Agent, c.Action, err)
	}
	return nil
}

// late says that the action was ended, and what to do about it.
func (c *Call) late(ctx context.Context, from int64) error {
	where := ""
	if c.Output != nil {
		where = "; its output is in " + c.Output.Name()
	}
	return fmt.Errorf("%s %s did not end in time: %w: find out what it waits for, or raise pendingTimeout of the resource if it needs longer%s%s",
		c.Agent, c.Action, ctx.Err(), where, after(c.output(from)))
}

func (c *Call) command(attr *syscall.SysProcAttr) *exec.Cmd {
	return &exec.Cmd{Path: c.Agent.Path(), Args: []string{c.Agent.Path(), c.Action}, Env: c.environment(), Dir: "/", SysProcAttr: attr}
}

// runGroup runs a command that leads a session of its own, and kills its process group at the end of ctx; killed says that it came to that.
func runGroup(ctx context.Context, cmd *exec.Cmd) (killed bool, err error) {
	if err := cmd.Start(); err != nil {
		return false, err
	}
	// The agent of the host is spared when memory runs out, what it starts is not.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("0"), 0)
	stop := context.AfterFunc(ctx, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	err = cmd.Wait()
	return !stop() && ctx.Err() != nil, err
}

func after(output []byte) string {
	if reason := reasonOf(output); reason != "" {
		return "; it said: " + reason
	}
	return ""
}

func size(f *os.File) int64 {
	if f == nil {
		return 0
	}
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// keptOutput is how much of an action's output is looked at, in bytes, at its beginning and at its end: what goes wrong first may be followed by
// minutes of waiting.
const keptOutput = 4 << 10

// output is what has been printed since the file had the given size, without the middle if it is long.
func (c *Call) output(from int64) []byte {
	if c.Output == nil {
		return nil
	}
	f, err := os.Open(c.Output.Name())
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	end := size(f)
	from = max(from, 0)
	part := func(from, to int64) []byte {
		raw, err := io.ReadAll(io.NewSectionReader(f, from, max(0, to-from)))
		if err != nil {
			return nil
		}
		return raw
	}
	if end-from <= 2*keptOutput {
		return part(from, end)
	}
	return slices.Concat(part(from, from+keptOutput), []byte("\n...\n"), part(end-keptOutput, end))
}

// environment is what an agent may rely on, and nothing of this process's own.
func (c *Call) environment() []string {
	env := append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root", "SHELL=/bin/sh",
		"OCF_ROOT=" + c.Agent.Root, "OCF_RA_VERSION_MAJOR=1", "OCF_RA_VERSION_MINOR=1",
		"OCF_RESOURCE_INSTANCE=" + c.Instance, "OCF_RESOURCE_TYPE=" + c.Agent.Name, "OCF_RESOURCE_PROVIDER=" + c.Agent.Provider,
		"OCF_EXIT_REASON_PREFIX=" + reasonPrefix, "HA_RSCTMP=" + stateDir, "HA_LOGFACILITY=none", "HA_debug=0",
		"__OCF_ACTION=" + c.Action, "OCF_RESKEY_CRM_meta_interval=0", "OCF_RESKEY_crm_feature_set=3.0.1",
	}, c.Env...)
	if c.Timeout > 0 {
		env = append(env, "OCF_RESKEY_CRM_meta_timeout="+strconv.FormatInt(c.Timeout.Milliseconds(), 10))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Parameters)) {
		if name == checkLevel {
			env = append(env, checkLevel+"="+c.Parameters[name])
			continue
		}
		env = append(env, "OCF_RESKEY_"+name+"="+c.Parameters[name])
	}
	return env
}

// checkLevel is how thorough a monitor is to be; agents read it without the prefix of parameters.
const checkLevel = "OCF_CHECK_LEVEL"

// Metadata asks the agent for its meta-data. It takes as long as a shell, and at most ten seconds.
func (a Agent) Metadata(ctx context.Context) (*Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	out := &bounded{}
	call := &Call{Agent: a, Action: "meta-data", Instance: a.Name}
	cmd := call.command(&syscall.SysProcAttr{Setsid: true})
	cmd.Stdout, cmd.WaitDelay = out, time.Second
	killed, err := runGroup(ctx, cmd)
	if killed {
		return nil, fmt.Errorf("%s does not tell its meta-data in time: %w: `%s meta-data` must print it at once, and wait for nothing", a, ctx.Err(), a.Path())
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not tell its meta-data: %w", a, err)
	}
	m, err := ParseMetadata(out.buf)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: see what `%s meta-data` prints, and install a version of the agent that keeps to the standard", a, err, a.Path())
	}
	return m, nil
}

// bounded keeps the beginning of an output, and one byte more than may be.
type bounded struct{ buf []byte }

func (b *bounded) Write(p []byte) (int, error) {
	if room := maxMetadata + 1 - len(b.buf); room > 0 {
		b.buf = append(b.buf, p[:min(room, len(p))]...)
	}
	return len(p), nil
}
