package nodeagent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/guardian"
	"github.com/quorate/quorate/pkg/runstate"
)

const (
	// guardianCheck is shorter than the shortest timeout of a watchdog device: a new guardian feeds it before it resets the host.
	guardianCheck = 200 * time.Millisecond
	guardianLog   = "guardian.log"
	// maxGuardianLog is where the guardian's log begins anew, at its start.
	maxGuardianLog = 1 << 20
)

// guardianKeeper starts the guardian when none runs. The guardian outlives the agent: that is its purpose.
type guardianKeeper struct {
	log                logr.Logger
	runDir, cgroupRoot string
	sysRqTrigger       string
	containerd         string
	settings           func() *Settings
	problems           *problems
	guards             *guards

	config  runstate.GuardConfig
	written bool
}

// run looks several times a second until ctx ends.
func (g *guardianKeeper) run(ctx context.Context) {
	ticker := time.NewTicker(guardianCheck)
	defer ticker.Stop()
	for {
		g.configure()
		status, running := guardian.Status(g.runDir)
		g.note(status, running)
		if running {
			g.problems.one(v1alpha1.ProblemNoGuardian, "", "")
		} else if err := g.start(); err != nil {
			g.log.Error(err, "The guardian is not started")
			g.problems.one(v1alpha1.ProblemNoGuardian, "", "nothing stops what runs if the agent hangs: "+err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// configure tells the guardian which watchdog device the cluster names.
func (g *guardianKeeper) configure() {
	var config runstate.GuardConfig
	if s := g.settings(); s != nil {
		config.WatchdogDevice = s.WatchdogDevice
	}
	if g.written && config == g.config {
		return
	}
	if err := runstate.WriteGuardConfig(g.runDir, config); err != nil {
		g.log.Error(err, "The guardian is not told which watchdog to feed")
		return
	}
	g.config, g.written = config, true
}

// note tells what guards this host. A device that is not the cluster's does not count.
func (g *guardianKeeper) note(status runstate.GuardStatus, running bool) {
	armed := running && status.Watchdog != "" && status.Watchdog == g.config.WatchdogDevice
	g.guards.set(func(a *v1alpha1.AgentGuards) {
		a.Guardian, a.Watchdog, a.WatchdogTimeout = running, armed, nil
		if armed {
			a.WatchdogTimeout = &metav1.Duration{Duration: status.Timeout}
		}
	})
	problem := ""
	if running && status.Problem != "" && g.config.WatchdogDevice != "" {
		problem = "nothing resets this host if its kernel hangs: " + status.Problem
	}
	g.problems.one(v1alpha1.ProblemNoWatchdog, g.config.WatchdogDevice, problem)
}

func (g *guardianKeeper) start() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the agent's own binary: %w", err)
	}
	output, err := g.openLog()
	if err != nil {
		return err
	}
	defer output.Close()
	// Its life is not bound to the agent's: no context.
	cmd := exec.CommandContext(context.Background(), self, "guardian", "--run-dir", g.runDir, "--cgroup-root", g.cgroupRoot,
		"--sysrq-trigger", g.sysRqTrigger, "--containerd-socket", g.containerd)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A control group of its own, so that whoever kills the agent's does not kill the guardian with it.
	own := cgroup.At(filepath.Join(g.cgroupRoot, "guardian"))
	if err := own.Create(); err != nil {
		g.log.V(1).Info("The guardian shares the agent's control group", "reason", err.Error())
	} else if dir, err := own.Open(); err == nil {
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the guardian: %w", err)
	}
	if err := favourSession(strconv.Itoa(cmd.Process.Pid)); err != nil {
		g.log.V(1).Info("The guardian is not favoured", "reason", err.Error())
	}
	g.log.Info("Guardian started", "pid", cmd.Process.Pid)
	go func() {
		if err := cmd.Wait(); err != nil {
			g.log.Info("The guardian ended", "reason", err.Error())
		}
	}()
	return nil
}

func (g *guardianKeeper) openLog() (*os.File, error) {
	path := filepath.Join(g.runDir, guardianLog)
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > maxGuardianLog {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the guardian's log: %w", err)
	}
	return f, nil
}
