// Command quorate-manager runs Quorate's controllers: it enrols nodes, publishes membership and quorum, and decides where each
// group runs. Run two or more; one leads, the others follow with warm caches and take over at once when the leader's host is lost.
package main

import (
	"fmt"
	"os"

	"github.com/go-logr/zapr"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/quorate/quorate/pkg/version"
)

func main() {
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "quorate-manager:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	opts := Options{}
	level := "info"
	cmd := &cobra.Command{
		Use:           "quorate-manager",
		Short:         "Decide where resource groups run",
		Version:       version.Version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := setUpLogging(level); err != nil {
				return err
			}
			return Run(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	cmd.PersistentFlags().StringVar(&opts.Kubeconfig, "kubeconfig", "", "kubeconfig file of the manager's identity; empty: the service account of the pod")
	cmd.PersistentFlags().StringSliceVar(&opts.Servers, "server", nil,
		"URL of another API server (https://HOST:PORT) that serves the same API; may be given several times")
	flags.StringVar(&opts.Node, "node", "", "name of the host that the manager runs on, so that a standby can lead at once when it is lost")
	flags.StringVar(&opts.Namespace, "namespace", "quorate-system", "namespace of the Leases")
	flags.StringVar(&opts.MetricsAddress, "metrics-bind-address", "0", "address of the metrics endpoint; 0: none")
	flags.StringVar(&opts.ProbeAddress, "health-probe-bind-address", "0", "address of /healthz and /readyz; 0: none")
	flags.BoolVar(&opts.LeaderElect, "leader-elect", true, "let one manager of several lead")
	flags.StringVar(&level, "log-level", level, "debug, info, warn or error")
	cmd.PersistentFlags().StringVar(&opts.DecisionsDir, "decisions-dir", "", "directory that keeps the inputs of decisions that moved something, for kubectl quorate explain --replay; empty: none")
	flags.IntVar(&opts.DecisionsKeep, "decisions-keep", 100, "how many of them are kept")
	cmd.AddCommand(releaseCommand(&opts), decisionsCommand(&opts))
	return cmd
}

// setUpLogging sends everything, client-go's klog included, through one zap logger as JSON on standard error.
func setUpLogging(level string) error {
	parsed, err := zapcore.ParseLevel(level)
	if err != nil {
		return fmt.Errorf("flag --log-level: %w", err)
	}
	config := zap.NewProductionConfig()
	config.Level = zap.NewAtomicLevelAt(parsed)
	config.Sampling = nil
	config.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	logger, err := config.Build()
	if err != nil {
		return fmt.Errorf("setting up logging: %w", err)
	}
	log := zapr.NewLogger(logger)
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client"))
	return nil
}
