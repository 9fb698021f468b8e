package controllertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/quorate/quorate/api/v1alpha1"
)

// startTimeout bounds the start of etcd and the API server: seconds on an idle machine, half a minute beside other tests (it is tried five times).
const startTimeout = time.Minute

// Environment is a real API server with our CRDs, RBAC and admission policies installed.
type Environment struct {
	env    *envtest.Environment
	Scheme *runtime.Scheme
	// Admin may do everything; it plays operators and agents.
	Admin client.WithWatch
	// Manager is a client with the identity that controllers run with, limited as in a real cluster. It has no cache.
	Manager client.WithWatch
}

// Start starts the control plane that KUBEBUILDER_ASSETS names. config is the path of the repository's config directory.
func Start(ctx context.Context, config string) (*Environment, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("these tests need a real API server, named by KUBEBUILDER_ASSETS: run make test")
	}
	e := &Environment{Scheme: runtime.NewScheme(), env: &envtest.Environment{
		CRDDirectoryPaths: []string{filepath.Join(config, "crd", "bases")}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: startTimeout,
	}}
	if err := errors.Join(clientgoscheme.AddToScheme(e.Scheme), v1alpha1.AddToScheme(e.Scheme)); err != nil {
		return nil, err
	}
	cfg, err := e.env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the control plane: %w", err)
	}
	ctrl.SetLogger(logr.Discard())
	if err := e.install(ctx, cfg, config); err != nil {
		return nil, errors.Join(err, e.env.Stop())
	}
	return e, nil
}

func (e *Environment) install(ctx context.Context, cfg *rest.Config, config string) error {
	cfg.QPS = -1
	var err error
	if e.Admin, err = client.NewWithWatch(cfg, client.Options{Scheme: e.Scheme}); err != nil {
		return err
	}
	for _, path := range []string{"api/namespace.yaml", "rbac", "admission"} {
		if err := e.create(ctx, filepath.Join(config, path)); err != nil {
			return err
		}
	}
	manager, err := e.env.AddUser(envtest.User{Name: v1alpha1.ManagerUser, Groups: []string{v1alpha1.ManagerUserGroup}}, nil)
	if err != nil {
		return err
	}
	limited := rest.CopyConfig(manager.Config())
	limited.QPS = -1
	if e.Manager, err = client.NewWithWatch(limited, client.Options{Scheme: e.Scheme}); err != nil {
		return err
	}
	return e.policiesInForce(ctx)
}

// policiesInForce waits until the manager is refused what its admission policy forbids.
func (e *Environment) policiesInForce(ctx context.Context) error {
	probe := &v1alpha1.ResourceGroup{Spec: v1alpha1.ResourceGroupSpec{ClusterName: "probe"}}
	probe.Namespace, probe.Name = "default", "probe"
	if err := e.Admin.Create(ctx, probe); err != nil {
		return err
	}
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		changed := probe.DeepCopy()
		changed.Spec.Description = "the manager may not write this"
		err := e.Manager.Patch(ctx, changed, client.MergeFrom(probe), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "may not write a spec"), nil
	})
	return errors.Join(err, e.Admin.Delete(ctx, probe))
}

// Kubeconfig returns a kubeconfig file's content for the manager's identity.
func (e *Environment) Kubeconfig() ([]byte, error) {
	user, err := e.env.AddUser(envtest.User{Name: v1alpha1.ManagerUser, Groups: []string{v1alpha1.ManagerUserGroup}}, nil)
	if err != nil {
		return nil, err
	}
	return user.KubeConfig()
}

// Stop stops the control plane.
func (e *Environment) Stop() error { return e.env.Stop() }

func (e *Environment) create(ctx context.Context, path string) error {
	return filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "kustomization.yaml" {
			return err
		}
		file, err := os.Open(p)
		if err != nil {
			return err
		}
		defer file.Close()
		for decoder := yaml.NewYAMLOrJSONDecoder(file, 4096); ; {
			o := &unstructured.Unstructured{}
			if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("reading %s: %w", p, err)
			}
			if len(o.Object) == 0 {
				continue
			}
			if err := e.Admin.Create(ctx, o); err != nil {
				return fmt.Errorf("installing %s %s: %w", o.GetKind(), o.GetName(), err)
			}
		}
	})
}
