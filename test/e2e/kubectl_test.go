package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// kubectl is the real one, built with the control plane.
func kubectl(t *testing.T) string {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run these tests with `make test` or `make test-e2e`")
	}
	return filepath.Join(assets, "kubectl")
}
