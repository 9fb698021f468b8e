package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/quorate/quorate/api/v1alpha1"
)

const config = "../../config"

// The control plane is shared by all tests of the package, since starting one takes seconds.
var (
	testEnv *envtest.Environment
	scheme  = runtime.NewScheme()
	admin   client.Client
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, "test/api needs a real API server, named by KUBEBUILDER_ASSETS: run make test")
		return 1
	}
	testEnv = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(config, "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	defer func() {
		if err := testEnv.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		}
	}()
	if err := start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "starting the control plane:", err)
		return 1
	}
	return m.Run()
}

func start(ctx context.Context) error {
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	cfg, err := testEnv.Start()
	if err != nil {
		return err
	}
	if admin, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	for _, path := range []string{"api/namespace.yaml", "rbac", "admission"} {
		objects, err := load(filepath.Join(config, path))
		if err != nil {
			return err
		}
		if path == "admission" {
			// waitForPolicies looks at the first file's policy, so that one must be made last.
			slices.Reverse(objects)
		}
		for _, o := range objects {
			if err := admin.Create(ctx, o); err != nil {
				return fmt.Errorf("installing %s %s: %w", o.GetKind(), o.GetName(), err)
			}
		}
	}
	return waitForPolicies(ctx)
}

// waitForPolicies waits until every admission policy is enforced.
func waitForPolicies(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		return agentIsRefused(ctx), nil
	})
}

// agentIsRefused reports whether the policy on Leases, the last one installed, is in force.
func agentIsRefused(ctx context.Context) bool {
	probe := object(`{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: probe, namespace: quorate-system}}`)
	c, err := clientAs("quorate:agent:node-a", v1alpha1.AgentUserGroup)
	if err != nil {
		return false
	}
	err = c.Create(ctx, probe, client.DryRunAll)
	return err != nil && strings.Contains(err.Error(), "CLUSTER-reporter")
}

// clientAs returns a client with a certificate of its own.
func clientAs(name string, groups ...string) (client.Client, error) {
	user, err := testEnv.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return nil, err
	}
	return client.New(user.Config(), client.Options{Scheme: scheme})
}

func mustClientAs(t *testing.T, name string, groups ...string) client.Client {
	t.Helper()
	c, err := clientAs(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// load reads the objects of a file, or of all files of a directory in order, without kustomizations.
func load(path string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		more, err := decode(string(text))
		if err != nil {
			return fmt.Errorf("reading %s: %w", p, err)
		}
		objects = append(objects, more...)
		return nil
	})
	return objects, err
}

func decode(text string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// object reads one object that the test itself spells out.
func object(text string) *unstructured.Unstructured {
	objects, err := decode(text)
	if err != nil || len(objects) != 1 {
		panic(fmt.Sprintf("one object wanted, got %d: %v\n%s", len(objects), err, text))
	}
	return objects[0]
}

// create makes the objects with strict field validation and deletes them when the test is over.
func create(t *testing.T, c client.Client, objects ...*unstructured.Unstructured) {
	t.Helper()
	for _, o := range objects {
		err := c.Create(t.Context(), o, &client.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		if o.GetKind() == "Namespace" && apierrors.IsAlreadyExists(err) {
			continue // nothing here removes namespaces
		}
		if err != nil {
			t.Fatalf("creating %s %s: %v", o.GetKind(), o.GetName(), err)
		}
		if o.GetKind() != "Namespace" {
			t.Cleanup(func() { remove(t, o) })
		}
	}
}

func remove(t *testing.T, o client.Object) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := client.IgnoreNotFound(admin.Delete(ctx, o)); err != nil {
		t.Errorf("deleting %s: %v", o.GetName(), err)
	}
}

// wantError fails unless the error is one that contains every part.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %q: %v", part, err)
		}
	}
}
