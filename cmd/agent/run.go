package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/quorate/quorate/pkg/guardian"
	"github.com/quorate/quorate/pkg/nodeagent"
	"github.com/quorate/quorate/pkg/resourcehost"
	"github.com/quorate/quorate/pkg/resourcetype/container"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/pkg/version"
	"github.com/quorate/quorate/pkg/watchdog"
)

const defaultRunDir = "/run/quorate"

// hostFlags are those that the agent and its guardian share.
type hostFlags struct {
	runDir, cgroupRoot, level, sysRqTrigger, containerd string
}

func (h *hostFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&h.runDir, "run-dir", defaultRunDir, "directory of what must not outlive a reboot, on a tmpfs")
	flags.StringVar(&h.cgroupRoot, "cgroup-root", defaultCgroupRoot(), "control group (cgroup2) below which resources get theirs")
	flags.StringVar(&h.sysRqTrigger, "sysrq-trigger", watchdog.SysRq,
		"file through which a host that cannot stop its groups resets itself at once; empty: it only tells of it")
	flags.StringVar(&h.containerd, "containerd-socket", container.DefaultSocket, "socket of the containerd that runs resources of type Container")
	flags.StringVar(&h.level, "log-level", "info", "debug, info, warn or error")
}

// defaultCgroupRoot fits both layouts: cgroup2 alone, and beside version 1 (hybrid).
func defaultCgroupRoot() string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
			return "/sys/fs/cgroup/unified/quorate"
		}
	}
	return "/sys/fs/cgroup/quorate"
}

func runCommand() *cobra.Command {
	opts := nodeagent.Options{Version: version.Version}
	host := hostFlags{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent of this host",
		Long: "Run the agent of this host until it is told to end (SIGTERM). Ending or killing it stops nothing that runs: the next " +
			"agent takes over, and the guardian stops everything if none comes in time.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.Node == "" || opts.Cluster == "" {
				return errors.New("flags --node and --cluster are needed: the names of this host's Node and of its Cluster")
			}
			log, err := logger(host.level)
			if err != nil {
				return err
			}
			opts.RunDir, opts.CgroupRoot, opts.SysRqTrigger = host.runDir, host.cgroupRoot, host.sysRqTrigger
			opts.ContainerdSocket = host.containerd
			opts.Log = log.WithValues("node", opts.Node)
			return nodeagent.Run(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	host.add(flags)
	flags.StringVar(&opts.Node, "node", os.Getenv("NODE_NAME"), "name of this host's Node (default: $NODE_NAME)")
	flags.StringVar(&opts.Cluster, "cluster", "", "name of the Cluster that the Node belongs to")
	flags.StringVar(&opts.Kubeconfig, "kubeconfig", "", "kubeconfig file of the agent's identity; empty: the service account of the pod")
	flags.StringSliceVar(&opts.Servers, "server", nil,
		"URL of another API server (https://HOST:PORT) that serves the same API; may be given several times")
	flags.StringVar(&opts.StateDir, "state-dir", "/var/lib/quorate", "directory of what must outlive a reboot")
	flags.StringVar(&opts.MetricsAddress, "metrics-bind-address", "0", "loopback address of the metrics endpoint; 0: none")
	return cmd
}

func guardianCommand() *cobra.Command {
	host := hostFlags{}
	cmd := &cobra.Command{
		Use:   "guardian",
		Short: "Stop everything when the agent is dead or hung at the end of its lease (the agent starts this itself)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logger(host.level)
			if err != nil {
				return err
			}
			log = log.WithName("guardian")
			guard, err := nodeagent.Guard(cmd.Context(), runstate.BootTime, log)
			if err != nil {
				log.Info("Addresses are only removed, not silenced")
			}
			err = guardian.Run(cmd.Context(), guardian.Options{
				RunDir: host.runDir, CgroupRoot: host.cgroupRoot, Types: nodeagent.Types(guard, host.containerd), Log: log,
				Stuck: nodeagent.Stuck(watchdog.Host{Trigger: host.sysRqTrigger}, log),
			})
			if errors.Is(err, guardian.ErrRunning) {
				log.Info("Another guardian watches this host")
				return nil
			}
			return err
		},
	}
	host.add(cmd.Flags())
	return cmd
}

// monitorCommand is the process of one resource; it ends with the agent, which is at the other end of its standard input.
func monitorCommand() *cobra.Command {
	host := hostFlags{}
	cmd := &cobra.Command{
		Use:    "monitor",
		Short:  "Run the code of one resource (the agent starts this itself)",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logger(host.level)
			if err != nil {
				return err
			}
			log = log.WithName("monitor").WithValues("pid", os.Getpid())
			conn, err := net.FileConn(os.Stdin)
			if err != nil {
				return fmt.Errorf("this command is for the agent, which calls it with a socket as its standard input: %w", err)
			}
			guard, err := nodeagent.Guard(cmd.Context(), runstate.BootTime, log)
			if err != nil {
				log.Info("Addresses are only removed, not silenced")
			}
			return resourcehost.Serve(cmd.Context(), conn, nodeagent.Types(guard, host.containerd), log)
		},
	}
	host.add(cmd.Flags())
	return cmd
}

// logger sends everything, client-go's klog included, through one zap logger as JSON on standard error.
func logger(level string) (logr.Logger, error) {
	parsed, err := zapcore.ParseLevel(level)
	if err != nil {
		return logr.Discard(), fmt.Errorf("flag --log-level: %w", err)
	}
	config := zap.NewProductionConfig()
	config.Level = zap.NewAtomicLevelAt(parsed)
	config.Sampling = nil
	config.DisableCaller, config.DisableStacktrace = true, true
	config.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	zapLogger, err := config.Build()
	if err != nil {
		return logr.Discard(), fmt.Errorf("setting up logging: %w", err)
	}
	log := zapr.NewLogger(zapLogger)
	ctrl.SetLogger(log.WithName("client"))
	klog.SetLogger(log.WithName("client"))
	return log, nil
}
